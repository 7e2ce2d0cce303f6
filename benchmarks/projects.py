"""Throw-away projects for benchmarks/gpu.py: rendered rooms, a small grid, and runs of `mtlbench` in them."""

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from mtlbench.plan import grid, places
from mtlbench.plan.params import load
from mtlbench.runs.manifest import Manifest
from mtlbench.system.files import write_text

MTLBENCH = [sys.executable, "-c", "from mtlbench.cli import main; main()"]
#: Image size, width of SegNets and epochs of a short run, where the numbers matter and where only the way does.
SIZES = {"cuda": (288, 384, 1.0, 6), "cpu": (32, 32, 0.0625, 3)}
PARAMS = """\
run: [gpu]
runtime: {{device: {device}, threads: 1, workers: 1, checkpoint_seconds: 0, compile: {compile}, data: auto}}
datasets:
  rooms: {{kind: rooms, height: {height}, width: {width}, train: 8, test: 4, seed: 1}}
protocols: {{}}
trainings: {{}}
grids: {{}}
experiments:
  gpu:
    title: GPU
    dataset: rooms
    tasks: [segmentation, depth, normals]
    protocol: {{name: paper, last_epochs: 2}}
    baseline: null
    models:
{models}
    weightings:
      dwa: {{temperature: 2.0}}
    seeds: [0, 1, 2, 3]
    training:
      epochs: {epochs}
      batch_size: 2
      processes: {processes}
      optimizer: {{name: adam, learning_rate: 1.0e-3, weight_decay: 0.0}}
      schedule: {{name: constant}}
      drop_last: false
      precision: {precision}
      augmentation: null
    resources: {{gpu: 0, memory_mb: 1000, minutes: 5}}
"""
CELL = "gpu/segnet_mtan/dwa/seed{}"


def make(folder: Path, rooms: Path, device: str, **changes: object) -> Path:
    """A new project in ``folder`` with prepared rooms; ``changes`` of what PARAMS leaves open.

    The rooms are those of the project ``rooms``, which is made when it is not there.
    """
    height, width, filters, epochs = SIZES[device]
    models = f"      segnet_mtan: {{width: {filters}}}"
    given: dict[str, object] = {"device": device, "compile": "false", "models": models, "epochs": epochs}
    given |= {"processes": 1, "precision": "float32", "height": height, "width": width}
    for project in (rooms, folder):
        project.mkdir(parents=True, exist_ok=project == rooms)
        write_text(project / "params.yaml", PARAMS.format(**given | changes))
    run(rooms, "prepare", "rooms")  # nothing when they are there
    shutil.copytree(rooms / places.PREPARED, folder / places.PREPARED)
    return folder


def run(folder: Path, *arguments: str) -> None:
    """`mtlbench` in a project; raises RuntimeError with the end of what it printed."""
    done = subprocess.run([*MTLBENCH, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"mtlbench {' '.join(arguments)} gave {done.returncode}: {done.stderr[-2000:]}")


def run_at_once(folder: Path, paths: list[str]) -> None:
    """Train these cells at the same time."""
    started = [subprocess.Popen([*MTLBENCH, "train", path], cwd=folder, stderr=subprocess.DEVNULL) for path in paths]
    if failed := [path for path, process in zip(paths, started, strict=True) if process.wait()]:
        raise RuntimeError(f"{', '.join(failed)} failed; `mtlbench status` in {folder} has the reason")


def kill(folder: Path, path: str) -> bool:
    """Train a cell until its first checkpoint is there and end it by SIGKILL; whether that came before its end."""
    cell = cell_of(folder, path)
    running = subprocess.Popen([*MTLBENCH, "train", path], cwd=folder, stderr=subprocess.DEVNULL)
    work = folder / places.work_folder(cell.key)
    while running.poll() is None and not any(work.glob("state-*.pt")):
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    return not (folder / cell.manifest).exists()


def cell_of(folder: Path, path: str) -> grid.Cell:
    """A cell of a project."""
    with contextlib.chdir(folder):
        return grid.cell(load(), path)


def outputs(folder: Path, path: str) -> dict[str, bytes]:
    """The bytes of a finished cell, but its manifest, which records times."""
    cell = cell_of(folder, path)
    files = [file for one in (cell.folder, cell.checkpoint_folder) for file in (folder / one).iterdir()]
    return {file.name: file.read_bytes() for file in files if not file.name.startswith("manifest")}


def losses(folder: Path, path: str) -> list[float]:
    """The training losses of all tasks and epochs of a finished cell."""
    header, *rows = (folder / cell_of(folder, path).folder / "history.csv").read_text().splitlines()
    columns = [i for i, name in enumerate(header.split(",")) if name.startswith("train_loss")]
    return [float(row.split(",")[i]) for row in rows for i in columns]


def facts(folder: Path, path: str) -> dict[str, Any]:
    """What the manifest of a finished cell says of its run."""
    return dict(Manifest.read(folder / cell_of(folder, path).manifest).facts)
