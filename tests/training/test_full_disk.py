"""A disk that really is full: a small tmpfs holds the work of a run."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtlbench import pipeline
from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.plan.places import work_folder
from mtlbench.runs import status
from mtlbench.training.cell import run_cell

from .conftest import CELL, Command

TRAIN = [str(Path(sys.executable).parent / "mtlbench"), "train", CELL]


@pytest.fixture
def small_disk(project) -> Iterator[Path]:
    """The project's work/ is a file system of 16 MB."""
    work = project / "work"
    work.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(work)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield work
    finally:
        subprocess.run(["umount", str(work)], check=True)


def fill(path: Path) -> None:
    """Take every byte that is left."""
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def outputs(cell: grid.Cell) -> dict[str, bytes]:
    """The bytes of a cell's outputs."""
    folders = (cell.folder, cell.checkpoint_folder)
    return {p.name: p.read_bytes() for folder in folders for p in folder.iterdir() if not p.name.startswith("manifest")}


def test_a_full_disk_fails_the_run_with_its_reason_and_the_same_command_continues(
    small_disk, edit, tmp_path, tmp_path_factory, monkeypatch
) -> None:
    edit("epochs: 3", "epochs: 16")
    pipeline.prepare(load(), "rooms")
    cell = grid.cell(load(), CELL)
    ballast = small_disk / "ballast"

    running = Command(tmp_path / "said", "train", CELL)
    end = time.monotonic() + 60
    while not any(work_folder(cell.key).glob("state-*.pt")):
        assert time.monotonic() < end, "no checkpoint"
        time.sleep(0.02)
    fill(ballast)
    code, printed = running.ended(60)
    assert code == 1, printed
    assert "error: No space left on device" in printed
    shown = status.state(cell)
    assert shown.name == "failed"
    assert "the disk or quota is full ([Errno 28] No space left on device" in shown.detail
    assert any(work_folder(cell.key).glob("state-*.pt")), "the last good checkpoint stays"
    assert not cell.manifest.exists()

    code, _ = Command(tmp_path / "said", "train", CELL).ended(60)
    assert code == 1, "nothing changes while the disk is full"
    assert status.state(cell).name == "failed"

    os.unlink(ballast)
    continued = subprocess.run(TRAIN, capture_output=True, text=True, check=True)
    assert "continuing in epoch" in continued.stderr
    assert status.state(cell).name == "done"

    elsewhere = tmp_path_factory.mktemp("undisturbed")
    for name in ("data", "params.yaml"):
        os.symlink(Path(name).resolve(), elsewhere / name)
    found = outputs(cell)
    monkeypatch.chdir(elsewhere)
    run_cell(cell, load().runtime)
    assert outputs(cell) == found
