"""A checkout of its own for the tests of the whole pipeline, with the tiny experiment and a home folder of its own."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from filelock import FileLock

from mtlbench.plan import places


@dataclass(frozen=True)
class Checkout:
    """A git checkout of the project; commands run in it with the tested environment."""

    folder: Path
    home: Path
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The tested environment's commands, a home folder of its own, nothing of the caller's settings."""
        binaries = str(Path(sys.executable).parent)
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("SNAKEMAKE", "MTLBENCH", "DVC"))
        }
        return kept | {
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "DVC_SITE_CACHE_DIR": str(self.home / "dvc-site"),
            "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t.invalid",
            "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t.invalid",
            **self.extra,
        }  # fmt: skip

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run a command; its output is part of a failure's message."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} gave {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        """Output of snakemake with the local profile, every job shown."""
        done = self.run("snakemake", "--profile", "workflow/profiles/local", *arguments, "--quiet", "host", check=check)
        return done.stdout + done.stderr

    def pending(self, *targets: str) -> set[str]:
        """The cells that a dry run would train."""
        output = self.snakemake("-n", *targets)
        return set(re.findall(rf"{places.CELLS}/(\S+)/manifest\.\w+\.json \(update\)", output))

    def edit(self, old: str, new: str) -> None:
        """Replace text in params.yaml that is there once."""
        path = self.folder / "params.yaml"
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))

    def trained(self) -> set[str]:
        """Keys of the finished cells in the store."""
        return {path.name for path in (self.folder / places.STORE).iterdir()} - {".leases"}


PARTS = (
    "Snakefile",
    "dvc.yaml",
    "slurm",
    "workflow",
    "src",
    ".dvc/config",
    ".dvc/.gitignore",
    ".dvcignore",
    ".gitignore",
    str(places.SELECTIONS / "README.md"),
    "tests/extensions/failing",
)


def tiny_params(repository: Path) -> str:
    """The text of the tiny params.yaml of tests/conftest.py."""
    found = re.search(r'TINY = """\n(.*?)"""', (repository / "tests/conftest.py").read_text(), re.S)
    assert found is not None
    return found[1]


def with_failing_weighting(params: str) -> str:
    """The parameters with a weighting in the first experiment that planning takes and that fails in its job."""
    weightings = "      equal: {}\n"
    assert weightings in params
    return "extensions: [tests/extensions/failing]\n" + params.replace(
        weightings, f"{weightings}      failing: {{}}\n", 1
    )


def make_checkout(base: Path, repository: Path, params: str, extra: Mapping[str, str] | None = None) -> Checkout:
    """A fresh git checkout of the project in ``base`` with this params.yaml, nothing run yet."""
    made = Checkout(base / "checkout", base / "home", extra or {})
    made.home.mkdir(parents=True)
    for part in PARTS:
        source, target = repository / part, made.folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            os.symlink(os.readlink(source), target)
        elif source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, target)
    (made.folder / "params.yaml").write_text(params)
    made.run("git", "init", "-q")
    made.run("git", "add", "-A")
    made.run("git", "commit", "-qm", "start")
    return made


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, repository) -> Checkout:
    """A fresh checkout with the tiny experiment, nothing run yet."""
    return make_checkout(tmp_path_factory.mktemp("workflow"), repository, tiny_params(repository))


@pytest.fixture(scope="session")
def finished(tmp_path_factory, repository) -> Path:
    """The folder of a checkout after `snakemake` on the tiny experiment, which tests copy; one worker makes it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with FileLock(base / "finished.lock"):
        if not (base / "finished").exists():
            shutil.rmtree(base / "unfinished", ignore_errors=True)
            made = make_checkout(base / "unfinished", repository, tiny_params(repository))
            one, five = "minutes: 5}", "minutes: 5, cells_per_job: 5}"
            made.edit(one, five)  # torch is loaded once; how cells are put into jobs is in no key
            made.snakemake()
            made.edit(five, one)
            (base / "unfinished").rename(base / "finished")
    return base / "finished"


def copy_of(finished: Path, base: Path) -> Checkout:
    """A copy in the new folder ``base``, with the times of its files and the links between them."""
    subprocess.run(["cp", "-a", str(finished), str(base)], check=True)
    return Checkout(base / "checkout", base / "home")


@pytest.fixture(scope="session")
def recorded(tmp_path_factory, finished) -> Checkout:
    """The tiny experiment after `snakemake`, `dvc repro`, `git commit` and `dvc push`; for tests of the group "dvc"."""
    made = copy_of(finished, tmp_path_factory.mktemp("recorded") / "one")
    before = {path: path.stat().st_mtime_ns for path in (made.folder / places.STORE).rglob("*")}
    made.run("dvc", "repro")
    after = {path: path.stat().st_mtime_ns for path in (made.folder / places.STORE).rglob("*")}
    assert after == before, "dvc repro after snakemake must train nothing"
    made.run("git", "add", "-A")
    made.run("git", "commit", "-qm", "record")
    made.run("dvc", "push")
    return made
