"""The command line, where other programs' options pass through it."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from mtlbench import pipeline
from mtlbench.plan import grid
from mtlbench.plan.params import load


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
    done = run(repository, "bench", "step", "--help")
    assert "usage: step.py" in done.stdout, done.stderr
    assert "timed training steps of each model" in done.stdout
    done = run(repository, "bench", "stop", "--steps", "1")
    assert done.returncode == 2
    assert "Did you mean 'step'?" in done.stderr


@pytest.mark.parametrize("layout", ["channels_last", "contiguous"])
def test_a_step_is_measured(project: Path, repository: Path, layout: str) -> None:
    spec = importlib.util.spec_from_file_location("step", repository / "benchmarks/step.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    params = load()
    pipeline.prepare(params, "rooms")
    cell = grid.cell(params, "tiny/segnet_split/equal/seed0")
    found = module.measure(cell, params.runtime.model_dump(), 2, layout)
    assert 0 < found["seconds"] < 60
    assert found["memory"] > 0
