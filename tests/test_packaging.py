"""What is written about the package agrees with the package."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import mtlbench
from mtlbench.plan import places


def test_one_version(repository: Path) -> None:
    citation = (repository / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", citation, re.M)[1] == mtlbench.__version__
    changes = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## ([0-9.]+)", changes, re.M)[1] == mtlbench.__version__
    assert tomllib.loads((repository / "pyproject.toml").read_text())["project"]["dynamic"] == ["version"]


def test_the_lock_holds_digests_for_everything_and_no_address(repository: Path) -> None:
    text = (repository / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^(-|--)", text, re.M), "an option for pip"
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert len(blocks) > 100
    assert all("--hash=sha256:" in block for block in blocks)


def test_every_dependency_is_locked(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    names = {re.match(r"[A-Za-z0-9._-]+", name)[0].lower().replace(".", "-") for name in wanted}
    locked = set(re.findall(r"^([a-z0-9._-]+)==", (repository / "requirements.lock").read_text(), re.M))
    assert names <= locked


def test_a_missing_extra_is_one_line() -> None:
    code = "import sys; sys.modules['pandas'] = None; from mtlbench.cli import main; main()"
    command = [sys.executable, "-c", code, "report", "demo", "--partial"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert "the package 'pandas' is not installed" in run.stderr
    assert ".[workflow,report]" in run.stderr


def test_what_commands_write_by_default_is_never_committed(repository: Path) -> None:
    """`git add -A` and `dvc exp run` would take it, weights included."""
    folders = (places.cell("demo"), places.weights("demo"), places.prepared("rooms"), places.work_folder("0"))
    names = [
        "shared/demo/file",
        *(f"{folder}/file" for folder in folders),
        "leaderboard.html",
        "results.json",
        "net-0.pt2",
        "net-0.onnx",
    ]
    command = ["git", "-c", "core.excludesFile=", "check-ignore", "--no-index", *names]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.stdout.split() == names, done.stderr
