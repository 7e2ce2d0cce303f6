"""Trains a cell of the params.yaml here; one process of it gets or sends a signal at a step.

    python killed_process.py CELL SIGNAL RANK TARGET EPOCH STEP

When process RANK has done this step (from 0) it sends SIGNAL to itself (TARGET self) or to the first process's parent
(TARGET parent). Each process imports this file, so each has the changed step.
"""

import os
import signal
import sys
import time
from pathlib import Path

import torch.distributed as dist

from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.training import loop
from mtlbench.training.cell import run_cell
from mtlbench.training.trainer import Trainer

path, name, rank, target, epoch, step = sys.argv[1:]
original = loop.train_step


def train_step(trainer: Trainer, *arguments: object) -> None:
    """A step, and then the signal."""
    original(trainer, *arguments)
    if (trainer.epoch, trainer.step) == (int(epoch), int(step)) and dist.get_rank() == int(rank):
        Path("signalled").touch()
        os.kill(os.getpid() if target == "self" else os.getppid(), getattr(signal, name))
        end = time.monotonic() + 60
        while trainer.ranks.asked() is None and time.monotonic() < end:  # go on when the parent has passed it on
            time.sleep(0.01)


loop.train_step = train_step

if __name__ == "__main__":
    run_cell(grid.cell(load(), path), load().runtime)
