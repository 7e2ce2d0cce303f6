"""How near each model of an experiment comes to what this machine reaches, in training and in evaluation.

    python benchmarks/roofline.py [--experiment demo] [--models segnet_split segnet_mtan] [--precisions float32]

First the machine's limits (`python benchmarks/machine.py`), then for every model with its first weighting, each in a
process of its own: the whole training step and the evaluation of an image, their operations in a second and the share
of the convolution limit, the share of the copy limit if every operation read its arguments from memory and wrote its
results there (an estimate: caches do better, so it may be above 100 %), the time of a step in the plain memory format
(contiguous) by its time in channels_last, the time of a step as public code is described (benchmarks/described.py:
float32 whatever the precision) by ours, and the share of the step that is spent outside the network, part by part:
data, losses, statistics, optimiser. Operations are those of convolutions and matrix products.

Times are processor seconds on a CPU, so other programs hardly count, and seconds on a GPU; the best of several. Memory
is the most that the tensors took on a GPU and that the process took on a CPU. The prepared data of the experiment must
be there (`mtlbench prepare`). Run by hand (or `mtlbench bench roofline`).
"""

import argparse
import math
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import described
import torch
from machine import Limits, Work, limits, precisions, seconds, work_of
from machine import table as machine_table
from rich.box import MARKDOWN
from rich.table import Table

from mtlbench.plan import grid
from mtlbench.plan.params import Params, Runtime, load
from mtlbench.system.console import console
from mtlbench.training import device as devices
from mtlbench.training.build import make_trainer
from mtlbench.training.domains import answers, domains_of
from mtlbench.training.evaluate import evaluate
from mtlbench.training.step import Part, record, train_step
from mtlbench.training.supervision import training_loss
from mtlbench.training.trainer import Trainer

#: Test images of each domain that an evaluation is measured on: some whole batches.
EVALUATED = 16
#: The parts of a step that are not the network, in the order of the table.
OUTSIDE = ("data", "losses", "statistics", "optimiser")


@dataclass(frozen=True)
class Measured:
    """One model: its training step, the seconds of one in the plain memory format and of one as public code is
    described, the evaluation of one image, {part: seconds} of a step, and peak memory in bytes."""

    step: Work
    contiguous: float
    described: float
    image: Work
    parts: dict[str, float]
    memory: int


def measure(cell: grid.Cell, runtime: dict[str, Any], precision: str, rounds: int) -> Measured:
    """A model's step and evaluation, in this process."""
    if torch.cuda.is_available():  # the memory of the model before is no part of this one's
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as work:
        trainer, _ = make_trainer(cell, Runtime(**runtime), Path(work))
    trainer.training = trainer.training.model_copy(update={"precision": precision})
    devices.set_precision(precision)
    trainer.model.train()
    chosen = trainer.steps_in(0)[0]
    parts = [Part(domain.tasks, trainer.data.train_split.batch(images)) for domain, images in chosen]
    step = work_of(lambda: train_step(trainer, parts, 1e-4), trainer.device, rounds)
    outside = _outside(trainer, parts, rounds)
    split = trainer.data.test_split
    domains = domains_of(trainer.tasks, split, torch.arange(split.count))
    images = torch.cat([domain.indices[:EVALUATED] for domain in domains]).unique()
    whole = work_of(lambda: evaluate(trainer.model, trainer.tasks, split, images, precision), trainer.device, rounds)
    count = len(images)
    image = Work(whole.seconds / count, whole.operations // count, whole.bytes // count)
    memory = devices.peak_memory(trainer.device)
    beside = _contiguous(trainer, parts, rounds), _described(trainer, parts, rounds)
    return Measured(step, *beside, image, outside, memory)


def _described(trainer: Trainer, parts: list[Part], rounds: int) -> float:
    """Seconds of a step as public code is described, which knows no deterministic kernels."""
    torch.set_deterministic_debug_mode("default")
    try:
        return seconds(described.make_step(trainer, parts), trainer.device, rounds)
    finally:
        torch.set_deterministic_debug_mode("error")


def _contiguous(trainer: Trainer, parts: list[Part], rounds: int) -> float:
    """Seconds of a step in the plain memory format; the trainer keeps it."""
    trainer.model.to(memory_format=torch.contiguous_format)
    trainer.model.train()
    plain = [Part(p.tasks, p.batch | {"image": p.batch["image"].contiguous()}) for p in parts]
    return seconds(lambda: train_step(trainer, plain, 1e-4), trainer.device, rounds)


def _outside(trainer: Trainer, parts: list[Part], rounds: int) -> dict[str, float]:
    """Seconds of what a step does besides the network, each measured alone."""
    tasks, split = trainer.tasks, trainer.data.train_split
    images = [batch for _, batch in trainer.steps_in(0)[0]]
    with torch.no_grad(), devices.autocast(trainer.device, trainer.training.precision):
        raw = {}
        for part in parts:
            raw |= answers(trainer.network, part.batch["image"], part.tasks, tasks)
    targets = {name: part.batch[name] for part in parts for name in part.tasks}
    leaves = {name: value.detach().requires_grad_() for name, value in raw.items()}

    def losses() -> dict[str, torch.Tensor]:
        helpers = trainer.model.auxiliary
        return {name: training_loss(name, tasks[name], leaves, targets[name], helpers) for name in targets}

    # As in a step: a task without an image in the batch has the loss 0.
    values = dict.fromkeys(tasks, torch.zeros((), device=trainer.device)) | losses()
    found = [value.detach() for value in values.values()]
    weights = torch.ones(len(tasks), device=trainer.device)

    @torch.no_grad()
    def statistics() -> None:
        record(trainer, found, weights, raw, parts)

    calls: dict[str, Callable[[], object]] = {
        "data": lambda: [split.batch(batch) for batch in images],
        "losses": lambda: torch.autograd.grad(sum(losses().values()), list(leaves.values())),
        "statistics": statistics,
        "optimiser": lambda: trainer.optimizer.step(),
    }
    return {name: seconds(calls[name], trainer.device, rounds) for name in OUTSIDE}


def models(params: Params, experiment: str, names: list[str] | None) -> list[grid.Cell]:
    """One cell for every model and set of tasks of an experiment."""
    found: dict[tuple[str, tuple[str, ...]], grid.Cell] = {}
    for cell in grid.cells(params, experiment):
        if names is None or cell.model in names:
            found.setdefault((cell.model, cell.tasks), cell)
    return list(found.values())


def training_table(rows: dict[str, Measured], limit: Limits) -> Table:
    """The steps of the models in one precision."""
    ratios = ("contiguous", "described")
    made = _table("training", "step, ms", "GFLOP/s", "of limit", "of copy", *ratios, *OUTSIDE, "memory, MB")
    for name, found in rows.items():
        step = found.step
        shares = [f"{share:.0%}" for share in step.shares(limit)]
        parts = [f"{found.parts[part] / step.seconds:.1%}" for part in OUTSIDE]
        beside = [f"{other / step.seconds:.2f}" for other in (found.contiguous, found.described)]
        made.add_row(name, *_speed(step), *shares, *beside, *parts, f"{found.memory / 2**20:.0f}")
    return made


def evaluation_table(rows: dict[str, Measured], limit: Limits) -> Table:
    """The evaluation of one image by the models in one precision."""
    made = _table("evaluation", "image, ms", "GFLOP/s", "of limit", "of copy")
    for name, found in rows.items():
        made.add_row(name, *_speed(found.image), *(f"{share:.0%}" for share in found.image.shares(limit)))
    return made


def _table(first: str, *columns: str) -> Table:
    made = Table(box=MARKDOWN)
    made.add_column(first, no_wrap=True)
    for column in columns:
        made.add_column(column, justify="right", no_wrap=True)
    return made


def _speed(work: Work) -> tuple[str, str]:
    """Milliseconds and GFLOP/s."""
    return f"{1e3 * work.seconds:.1f}", f"{work.operations / work.seconds / 1e9:.1f}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", default="demo", help="whose models, batch and image size")
    parser.add_argument("--models", nargs="+", help="labels of that experiment; all without this")
    parser.add_argument("--precisions", nargs="+", help="float32, tf32, bfloat16; all that the device has without this")
    parser.add_argument("--rounds", type=int, default=5, help="of which the best counts")
    parser.add_argument("--minutes", type=float, default=math.inf, help="after which no further model begins")
    parser.add_argument("--width", type=float, help="of the networks that have one, instead of the experiment's")
    arguments = parser.parse_args()
    params = load()
    for block in grid.experiment(params, arguments.experiment).models.values():
        if arguments.width is not None and "width" in block:
            block["width"] = arguments.width
    runtime = params.runtime.model_dump()
    devices.make_deterministic(params.runtime.threads)
    device = devices.choose(params.runtime.device)
    found = {name: limits(device, name, arguments.rounds) for name in arguments.precisions or precisions(device)}
    print(f"{devices.describe(device)}, torch {torch.__version__}, experiment {arguments.experiment}\n")
    console().print(machine_table(list(found.values())))
    end = time.monotonic() + 60 * arguments.minutes
    rows: dict[str, dict[str, Measured]] = {precision: {} for precision in found}
    left_out, failed = [], {}
    with Workers(device) as workers:
        for cell in models(params, arguments.experiment, arguments.models):
            name = cell.model if len(cell.tasks) > 1 else f"{cell.model} ({cell.tasks[0]})"
            for precision in found:
                if time.monotonic() > end:
                    left_out.append(name)
                    break
                try:
                    rows[precision][name] = workers.apply(measure, cell, runtime, precision, arguments.rounds)
                except Exception as error:  # too much for the memory: the others are measured all the same
                    failed[f"{name}, {precision}"] = f"{type(error).__name__}: {error}"
    for precision, limit in found.items():
        print(f"\n{precision}:")
        for made in (training_table(rows[precision], limit), evaluation_table(rows[precision], limit)):
            console().print(made)
    if left_out:
        print(f"\nno time left for {', '.join(left_out)}")
    if failed:
        sys.exit("\n".join(f"{name} failed: {reason}" for name, reason in failed.items()))


class Workers:
    """Other processes for measurements: one for all on a GPU, whose peak memory can be forgotten, else one for each."""

    def __init__(self, device: torch.device) -> None:
        self.context = multiprocessing.get_context("spawn")
        self.kept = self.context.Pool(1) if device.type == "cuda" else None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        if self.kept is not None:
            self.kept.terminate()

    def apply(self, function: Callable[..., Measured], *arguments: object) -> Measured:
        """The result of the function, computed there."""
        if self.kept is not None:
            return self.kept.apply(function, arguments)
        with self.context.Pool(1) as pool:
            return pool.apply(function, arguments)


if __name__ == "__main__":
    main()
