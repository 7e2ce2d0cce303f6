"""What the tests of whole runs share."""

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from mtlbench import pipeline
from mtlbench.plan import grid, places
from mtlbench.plan.params import load
from mtlbench.plan.places import work_folder
from mtlbench.system.errors import Interrupted
from mtlbench.system.files import digest, read_json, write_json
from mtlbench.training import loop
from mtlbench.training.cell import run_cell
from mtlbench.training.trainer import Trainer

CELL = "tiny/segnet_split/dwa/seed0"
OUTPUTS = ("metrics.json", "history.csv", "per_image.npz", "samples.npz", "model.safetensors")


@pytest.fixture(scope="session")
def tiny_rooms(tmp_path_factory: pytest.TempPathFactory, tiny: str) -> Path:
    """The folder of the tiny experiment's arrays, made once for all tests here."""
    folder = tmp_path_factory.mktemp("rooms")
    (folder / "params.yaml").write_text(tiny)
    with contextlib.chdir(folder):
        pipeline.prepare(load(), "rooms")
    return folder / places.prepared("rooms")


@pytest.fixture
def project(project: Path, tiny_rooms: Path) -> Path:
    """The project with a copy of these arrays: preparing them again does nothing, other settings are prepared anew."""
    shutil.copytree(tiny_rooms, project / places.prepared("rooms"))
    return project


def contents(cell: grid.Cell) -> dict[str, bytes]:
    """The bytes of a complete cell's outputs, which must be exactly those that a cell has."""
    folders = (cell.folder, cell.checkpoint_folder)
    found = {
        path.name: path.read_bytes()
        for folder in folders
        for path in folder.iterdir()
        if not path.name.startswith("manifest")
    }
    assert set(found) == set(OUTPUTS)
    return found


def forget(cell: grid.Cell) -> None:
    """Remove a cell's results and its entry in the store."""
    for folder in (cell.folder, cell.checkpoint_folder, places.store(), work_folder(cell.key)):
        shutil.rmtree(folder)


@pytest.fixture
def stop(monkeypatch) -> Callable[[grid.Cell], None]:
    """A function that trains a cell until SIGTERM stops it in epoch 2 after step 2."""

    def train(cell: grid.Cell) -> None:
        original = loop.train_step

        def step(trainer: Trainer, *arguments: object) -> None:
            original(trainer, *arguments)
            if (trainer.epoch, trainer.step) == (1, 1):
                os.kill(os.getpid(), signal.SIGTERM)

        with monkeypatch.context() as patch:
            patch.setattr(loop, "train_step", step)
            with pytest.raises(Interrupted, match="in epoch 2 after step 2"):
                run_cell(cell, load().runtime)

    return train


def rewrite(cell: grid.Cell, name: str, values: np.ndarray) -> None:
    """Put another array into the prepared data, and make the manifest tell that it was prepared like this."""
    path = cell.dataset.folder / name
    np.save(path, values)
    manifest = read_json(cell.dataset.manifest)
    manifest["outputs"][name] = {"sha256": digest(path), "bytes": path.stat().st_size}
    write_json(cell.dataset.manifest, manifest)


# Runs a cell in a process that kills itself with SIGKILL at the n-th call of a function.
KILLED = """
import os, signal, importlib
os.chdir(folder)
holder = importlib.import_module(module)
for part in filter(None, owner.split(".")):
    holder = getattr(holder, part)
original, calls = getattr(holder, name), 0
def counted(*args, **kwargs):
    global calls
    calls += 1
    if calls == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **kwargs)
setattr(holder, name, counted)
from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.training.cell import run_cell
run_cell(grid.cell(load(), cell), load().runtime)
"""
#: Forks fresh processes from one that has loaded torch, so that each of the killed ones starts without loading it.
FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(["mtlbench.cli", "mtlbench.training.cell", "torch._dynamo"])


def kill_at(module: str, owner: str, name: str, count: int, cell: str = CELL) -> None:
    """Run the cell in a process that dies at the n-th call of that function."""
    given = {"module": module, "owner": owner, "name": name, "count": count, "cell": cell, "folder": os.getcwd()}
    killed = FRESH.Process(target=exec, args=(KILLED, given))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL


class Command:
    """The command `mtlbench` in a session of its own, which starts without loading torch.

    ``said`` is the file of what it writes to the error output.
    """

    def __init__(self, said: Path, *arguments: str) -> None:
        self.said = said
        self.process = FRESH.Process(target=_command, args=(arguments, os.getcwd(), dict(os.environ), said))
        self.process.start()
        assert self.process.pid is not None
        self.pid = self.process.pid

    def ended(self, timeout: float) -> tuple[int, str]:
        """Its exit code, minus the signal that killed it, and all that it said."""
        self.process.join(timeout)
        assert self.process.exitcode is not None, f"it still runs after {timeout} s: {self.said.read_text()}"
        return self.process.exitcode, self.said.read_text()


def _command(arguments: tuple[str, ...], folder: str, environment: Mapping[str, str], said: Path) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    with open(said, "wb") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    sys.argv = ["mtlbench", *arguments]
    from mtlbench.cli import main

    main()
