"""The command line, where other programs' options pass through it."""

import subprocess
import sys
from pathlib import Path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from mtlbench.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_help_of_bench_lists_the_scripts(repository: Path) -> None:
    done = run(repository, "bench", "--help")
    assert done.returncode == 0
    assert "Measure speed and memory" in done.stdout
    for path in (repository / "benchmarks").glob("*.py"):
        assert f"  {path.stem} " in done.stdout


def test_options_after_a_script_are_the_script_s(repository: Path) -> None:
    done = run(repository, "bench", "roofline", "--help")
    assert "usage: roofline.py" in done.stdout, done.stderr
    assert "of which the best counts" in done.stdout
    done = run(repository, "bench", "rooflin", "--rounds", "1")
    assert done.returncode == 2
    assert "Did you mean 'roofline'?" in done.stderr


def test_bench_outside_of_a_checkout_says_where_to_run_it(tmp_path: Path) -> None:
    done = run(tmp_path, "bench")
    assert (done.returncode, done.stderr) == (
        2,
        "error: bench: no folder benchmarks/ here. Run it in a checkout of mtlbench.\n",
    )
