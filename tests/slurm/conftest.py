"""A Slurm cluster for the tests of this folder, checkouts that work on it, and what an undisturbed run gives."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from filelock import FileLock

from mtlbench import pipeline
from mtlbench.plan import grid, places
from mtlbench.plan.params import load
from mtlbench.runs import store
from mtlbench.training.cell import run_cell

from ..workflow.conftest import Checkout, make_checkout, tiny_params  # noqa: TID252
from .cluster import Cluster, start, wait_for, why_not

CELL = "tiny/segnet_split/dwa/seed0"
OUTPUTS = ("metrics.json", "history.csv", "per_image.npz", "samples.npz", "model.safetensors")


def skip_unless_possible(accounting: bool = False) -> None:
    """Skip where no cluster can be started; fail there when MTLBENCH_NEEDS_SLURM is set, as in CI."""
    reason = why_not(accounting)
    if reason is not None:
        if os.environ.get("MTLBENCH_NEEDS_SLURM"):
            pytest.fail(f"MTLBENCH_NEEDS_SLURM is set, but {reason}")
        pytest.skip(reason)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster of its own for each test process."""
    skip_unless_possible()
    # Not in pytest's own folders: they are open to their owner alone, and the daemons run as other users.
    with tempfile.TemporaryDirectory(prefix="mtlbench-slurm-", ignore_cleanup_errors=True) as folder:
        running = start(Path(folder) / "cluster", owner=os.getpid())
        try:
            yield running
        finally:
            running.stop()


@dataclass
class Site:
    """A checkout on the login node of a cluster."""

    checkout: Checkout
    cluster: Cluster
    started: list[subprocess.Popen] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The checkout's folder, which all nodes see."""
        return self.checkout.folder

    def snakemake(self, *arguments: str) -> subprocess.Popen:
        """Start `snakemake --profile slurm` in the background; its output goes to snakemake.<n>.log."""
        with open(self.folder / f"snakemake.{len(self.started)}.log", "wb") as log:
            process = subprocess.Popen(
                ["snakemake", "--profile", "slurm", *arguments],
                cwd=self.folder,
                env=self.checkout.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def output(self, number: int = -1) -> str:
        """What a Snakemake has said so far."""
        count = len(self.started)
        return (self.folder / f"snakemake.{number % count}.log").read_text()

    def finish(self, seconds: float = 400) -> str:
        """Wait for the last Snakemake to end well; its output."""
        try:
            code = self.started[-1].wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"snakemake did not end in {seconds:.0f} s:\n{self.output()}\n{self.cluster.run('squeue')}")
        assert code == 0, self.output() + self.logs()
        return self.output()

    def logs(self) -> str:
        """All logs of jobs, for the message of a failure."""
        paths = [*self.folder.glob(".snakemake/slurm_logs/**/*.log"), *self.folder.glob(f"{places.RESUME}/*/log.txt")]
        return "".join(f"\n=== {path}\n{path.read_text()}" for path in paths)

    def jobs(self) -> list[dict[str, str]]:
        """The jobs of this checkout that wait or run."""
        return [job for job in self.cluster.jobs() if job["folder"] == str(self.folder)]

    def trainer(self, cell: str, seconds: float = 180) -> int:
        """The process number of the one `mtlbench train` of the cell, once it has saved two checkpoints."""
        found: list[int] = []

        def look() -> bool:
            found[:] = self.trainers(cell)
            return bool(found) and self.position(cell) >= 2

        wait_for(look, seconds, f"{cell} trains; {self.output()}")
        return found[0]

    def trainers(self, cell: str) -> list[int]:
        """The process numbers of `mtlbench train` of that cell in this checkout, on whatever node.

        Where several cells share a job, the one process that trains, not the one that started it.
        """
        found: dict[int, int] = {}
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (path / "cmdline").read_bytes().split(b"\0")
                here = os.readlink(path / "cwd") == str(self.folder)
                if here and b"train" in words and cell.encode() in words and b"python" in words[0]:
                    found[int(path.name)] = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
        return [pid for pid in found if pid not in found.values()]

    def position(self, cell: str) -> int:
        """The epochs that the cell's newest checkpoint has behind it; 0 without one."""
        return max((int(path.name[6:12]) for path in self.work(cell).glob("state-*.pt")), default=0)

    def work(self, cell: str) -> Path:
        """The resume state of a cell."""
        return self.folder / places.RESUME / self.cell(cell).key

    def cell(self, path: str) -> grid.Cell:
        """The cell of that path."""
        return grid.cell(load(self.folder / "params.yaml"), path)

    def log(self, cell: str) -> str:
        """The cell's own log, all attempts."""
        return (self.work(cell) / "log.txt").read_text()

    def results(self, cell: str) -> dict[str, bytes]:
        """The bytes of a cell's outputs."""
        return results(self.folder, self.cell(cell))

    def stop(self) -> None:
        """End what the test started: Snakemakes, jobs and training processes."""
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        mine = [job["id"] for job in self.jobs()]
        if mine:
            self.cluster.run("scancel", "--signal=KILL", "--full", *mine, check=False)
            self.cluster.run("scancel", *mine, check=False)


def results(folder: Path, cell: grid.Cell) -> dict[str, bytes]:
    """The bytes of a cell's outputs in a checkout."""
    places = {name: cell.checkpoint_folder if name in store.WEIGHTS else cell.folder for name in OUTPUTS}
    return {name: (folder / place / name).read_bytes() for name, place in places.items()}


def params(repository: Path, *edits: tuple[str, str]) -> str:
    """The tiny params.yaml with one network, runs of some seconds on one GPU, and further edits."""
    text = tiny_params(repository)
    for old, new in (
        ("train: 6, test: 3", "train: 12, test: 3"),
        ("baseline: segnet_single", "baseline: null"),
        ("      segnet_single: {width: 0.0625}\n", ""),
        ("epochs: 3", "epochs: 40"),
        ("gpu: 0, memory_mb: 1000", "gpu: 1, memory_mb: 1500"),
        *edits,
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.fixture
def new_site(cluster, repository, tmp_path) -> Iterator[Callable[..., Site]]:
    """Makes the checkout of a test, by edits of its params.yaml; everything that it started ends with the test."""
    made: list[Site] = []

    def make(*edits: tuple[str, str]) -> Site:
        checkout = make_checkout(tmp_path, repository, params(repository, *edits), cluster.environment)
        made.append(Site(checkout, cluster))
        return made[-1]

    yield make
    for site in made:
        site.stop()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, repository) -> Path:
    """A folder where the cells that tests disturb were trained in peace; made once for all test processes."""
    folder = tmp_path_factory.getbasetemp().parent / "undisturbed"
    with FileLock(f"{folder}.lock"):
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / "params.yaml").write_text(params(repository))
            with contextlib.chdir(folder):
                pipeline.prepare(load(), "rooms")
                run_cell(grid.cell(load(), CELL), load().runtime)
            (folder / "done").touch()
    return folder


@pytest.fixture
def site(new_site, undisturbed) -> Site:
    """A checkout with the data prepared and the cell CELL to train."""
    made = new_site(("      equal: {}\n", ""))
    shutil.copytree(undisturbed / "data", made.folder / places.DATA)
    return made


@pytest.fixture
def expected(undisturbed) -> dict[str, bytes]:
    """The bytes of CELL's outputs when nothing disturbs it."""
    with contextlib.chdir(undisturbed):
        return results(undisturbed, grid.cell(load(), CELL))
