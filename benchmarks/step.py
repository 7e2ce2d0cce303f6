"""Training step of every model of an experiment: median time and peak memory, channels_last beside contiguous.

    python benchmarks/step.py [--experiment demo] [--steps 5]

Run by hand (or `mtlbench bench step`); never a test.
"""

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

from mtlbench.plan import grid
from mtlbench.plan.params import Params, Runtime, load
from mtlbench.system.console import console
from mtlbench.training.build import make_trainer
from mtlbench.training.data import in_batches
from mtlbench.training.device import peak_memory
from mtlbench.training.step import Part, train_step


def step(params: Params, experiment: str, steps: int) -> None:
    """Training step of every model of an experiment with the weighting `equal`: median time and peak memory.

    Each model runs in a process of its own, so that the peaks are its own; the plain memory format is
    measured beside channels_last.
    """
    table = Table(title=f"training step, experiment {experiment}", title_justify="left")
    for column in ("model", "tasks", "channels_last, ms", "contiguous, ms", "ratio", "peak memory, MB", "images/s"):
        table.add_column(column, justify="left" if column in ("model", "tasks") else "right")
    seen = set()
    context = multiprocessing.get_context("spawn")
    batch = grid.experiment(params, experiment).training.batch_size
    for cell in grid.cells(params, experiment):
        if (cell.model, cell.tasks) in seen:
            continue
        seen.add((cell.model, cell.tasks))
        found = {}
        for layout in ("channels_last", "contiguous"):
            with context.Pool(1) as pool:
                found[layout] = pool.apply(measure, (cell, params.runtime.model_dump(), steps, layout))
        fast, slow = found["channels_last"]["seconds"], found["contiguous"]["seconds"]
        table.add_row(
            cell.model, ", ".join(cell.tasks), f"{1000 * fast:.1f}", f"{1000 * slow:.1f}", f"{slow / fast:.2f}",
            f"{found['channels_last']['memory'] / 2**20:.0f}", f"{batch / fast:.1f}",
        )  # fmt: skip
    console().print(table)


def measure(cell: grid.Cell, runtime: dict[str, Any], steps: int, layout: str) -> dict[str, float]:
    """Median seconds of a whole training step (losses, gradients, update, statistics) and peak memory in bytes."""
    with tempfile.TemporaryDirectory() as work:
        trainer, _ = make_trainer(cell, Runtime(**runtime), Path(work))
        if layout == "contiguous":
            trainer.model.to(memory_format=torch.contiguous_format)
        trainer.model.train()
        indices = in_batches(trainer.data.train, trainer.training.batch_size)[0]
        tasks = tuple(trainer.tasks)
        times = []
        for _ in range(steps + 2):
            batch = trainer.data.train_split.batch(indices)
            if layout == "contiguous":
                batch["image"] = batch["image"].contiguous()
            begin = time.perf_counter()
            train_step(trainer, [Part(tasks, batch)], 1e-4)
            if trainer.device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - begin)
        return {"seconds": float(np.median(times[2:])), "memory": peak_memory(trainer.device)}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", default="demo", help="whose models, batch and image size")
    parser.add_argument("--steps", type=int, default=5, help="timed training steps of each model")
    arguments = parser.parse_args()
    step(load(), arguments.experiment, arguments.steps)


if __name__ == "__main__":
    main()
