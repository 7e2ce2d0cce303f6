"""Trains cells of the params.yaml here in one process, and again in two: python two_processes.py CELL...

The state at the start and at the end of each, and its history, land in the folders 1 and 2.
Networks are float64 here: in float32 the rounding of another order of sums, amplified by BatchNorm over the few pixels
of tiny images, changes a number within a few steps, and a mistake could hide behind that.
"""

import sys
from pathlib import Path

import torch

from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.training import data, loop
from mtlbench.training.build import make_trainer
from mtlbench.training.processes.launch import launch
from mtlbench.training.processes.ranks import Ranks

DECODE = data.decode


def _decode(name: str, values: torch.Tensor) -> torch.Tensor:
    if name != "image":
        return DECODE(name, values)
    noise = torch.rand(values.shape, generator=torch.Generator().manual_seed(0))
    return DECODE(name, values).double() + 0.2 * noise


def train_all(ranks: Ranks, device: str, paths: list[str], folder: Path) -> None:
    """Train the cells one after the other and keep what came out of each."""
    torch.set_default_dtype(torch.float64)
    data.decode = _decode
    folder.mkdir(exist_ok=True)
    for path in paths:
        work = folder / path.replace("/", "-")
        work.mkdir(exist_ok=True)
        trainer, _ = make_trainer(grid.cell(load(), path), load().runtime, work, ranks)
        start = {name: value.clone() for name, value in trainer.model.state_dict().items()}
        loop.run(trainer)
        if ranks.first:
            state = {"model": trainer.model.state_dict(), "weighting": trainer.weighting.state_dict()}
            torch.save({"rows": trainer.rows, "start": start, **state}, work / "found.pt")
    ranks.close()


if __name__ == "__main__":
    for count in (1, 2):
        launch(["cpu"] * count, train_all, sys.argv[1:], Path(str(count)))
