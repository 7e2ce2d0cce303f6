"""What the tests of whole runs share."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

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
import os, signal, sys, importlib
module, owner, name, count, cell = sys.argv[1:]
holder = importlib.import_module(module)
for part in filter(None, owner.split(".")):
    holder = getattr(holder, part)
original, calls = getattr(holder, name), 0
def counted(*args, **kwargs):
    global calls
    calls += 1
    if calls == int(count):
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **kwargs)
setattr(holder, name, counted)
from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.training.cell import run_cell
run_cell(grid.cell(load(), cell), load().runtime)
"""


def kill_at(module: str, owner: str, name: str, count: int, cell: str = CELL) -> None:
    """Run the cell in a process that dies at the n-th call of that function."""
    command = [sys.executable, "-c", KILLED, module, owner, name, str(count), cell]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
