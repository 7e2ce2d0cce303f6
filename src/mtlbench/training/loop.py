"""The training loop: every step is a pure function of (state, seed, epoch, step).

The order of the images, the augmentation and dropout draw from generators that are seeded by (seed, epoch,
step), so a run that was stopped anywhere and continued gives the same bits as one that was not, and no random
state is saved. Nothing inside an epoch waits for the device.
"""

import contextlib
import math
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtlbench.system.errors import DivergedError, Interrupted
from mtlbench.training import history
from mtlbench.training.data import Split
from mtlbench.training.evaluate import evaluate
from mtlbench.training.optimize import rate_of, set_rate
from mtlbench.training.reference import shortfalls
from mtlbench.training.saving import save
from mtlbench.training.step import Part, train_step
from mtlbench.training.trainer import Trainer


def run(trainer: Trainer) -> None:
    """Train to the last epoch; raises DivergedError, or Interrupted after saving."""
    while trainer.epoch < trainer.training.epochs:
        _train_epoch(trainer)
        _end_epoch(trainer)
        due = time.monotonic() - trainer.saved_at >= trainer.checkpoint_seconds
        if due or trainer.epoch == trainer.training.epochs:
            save(trainer)


def _train_epoch(trainer: Trainer) -> None:
    trainer.model.train()
    trainer.model.begin_epoch(trainer.epoch, trainer.training.epochs)
    rate = rate_of(trainer.training, trainer.epoch)
    set_rate(trainer.optimizer, rate)
    if trainer.step == 0:
        losses = [[row[f"train_loss_{task}"] for task in trainer.tasks] for row in trainer.rows]
        if trainer.weighting.wants_reference and trainer.rows:
            trainer.weighting.judge(shortfalls(trainer.rows[-1], trainer.reference, trainer.metrics))
        trainer.weighting.begin_epoch(trainer.epoch, losses)
    steps = trainer.steps_in(trainer.epoch)
    coming = steps[trainer.step :]
    with contextlib.closing(trainer.data.train_split.batches([b for step in coming for _, b in step])) as batches:
        for step in coming:
            train_step(trainer, [Part(domain.tasks, next(batches)) for domain, _ in step], rate)
            trainer.step += 1
            trainer.hooks.advance(trainer.epoch, trainer.step, len(steps))
            _stop_if_asked(trainer)


def _stop_if_asked(trainer: Trainer) -> None:
    signal = trainer.ranks.agree(trainer.hooks.stop())
    if signal is None:
        return
    _raise_if_diverged(trainer)
    save(trainer)
    raise Interrupted(
        f"stopped by {signal} in epoch {trainer.epoch + 1} after step {trainer.step}; "
        "the progress is saved, the same command continues"
    )


def _raise_if_diverged(trainer: Trainer) -> None:
    """Name the first step without a finite loss and its task: the others follow from it."""
    found = [(step, name) for name, step in zip(trainer.tasks, trainer.bad.tolist(), strict=True) if step >= 0]
    if found:
        first = min(step for step, _ in found)
        names = " and ".join(f"'{name}'" for step, name in found if step == first)
        raise DivergedError(
            f"the training loss of {names} is NaN or infinite at epoch {trainer.epoch + 1}, step {first + 1} "
            "(both counted from 1). Lower training.optimizer.learning_rate or change the weighting's options."
        )


def _end_epoch(trainer: Trainer) -> None:
    _raise_if_diverged(trainer)
    trainer.ranks.check_equal(list(trainer.model.parameters()))
    sums = trainer.meter.fetch()
    row: dict[str, Any] = {"epoch": trainer.epoch, "learning_rate": trainer.optimizer.param_groups[0]["lr"]}
    mean = np.divide(sums["losses"], sums["images"], out=np.full(len(trainer.tasks), np.nan), where=sums["images"] > 0)
    row |= {f"train_loss_{name}": float(value) for name, value in zip(trainer.tasks, mean, strict=True)}
    for name, task in trainer.tasks.items():
        found = {key.split("/", 1)[1]: value for key, value in sums.items() if key.startswith(f"{name}/")}
        values = task.reduce(found) if found else dict.fromkeys(trainer.metric_names[name], math.nan)
        row |= {f"train_{name}_{metric}": value for metric, value in values.items()}
    if "val" in trainer.recorded:
        row |= _evaluated(trainer, "val", trainer.data.train_split, trainer.data.held_out)
    if "test" in trainer.recorded:
        row |= _evaluated(trainer, "test", trainer.data.test_split, torch.arange(trainer.data.test_split.count))
    weights = sums["weights"] / sums["steps"]
    row |= {f"weight_{name}": float(value) for name, value in zip(trainer.tasks, weights, strict=True)}
    row |= {key[4:]: float(value / sums["steps"]) for key, value in sums.items() if key.startswith("log/")}
    trainer.rows.append(row)
    _remember_best(trainer)
    trainer.epoch += 1
    trainer.start_epoch()
    trainer.hooks.epoch_done(row)


def _evaluated(trainer: Trainer, split: str, images: Split, indices: Tensor) -> dict[str, float]:
    found = evaluate(trainer.network, trainer.tasks, images, indices, trainer.training.precision)
    for name, value in found.losses.items():
        if not torch.isfinite(torch.tensor(value)):
            raise DivergedError(
                f"the {split} loss of '{name}' is NaN or infinite after epoch {trainer.epoch + 1}: its last steps "
                "diverged. Lower training.optimizer.learning_rate or change the weighting's options."
            )
    row = {f"{split}_loss_{name}": value for name, value in found.losses.items()}
    for name, values in found.metrics.items():
        row |= {f"{split}_{name}_{metric}": value for metric, value in values.items()}
    return row


def _remember_best(trainer: Trainer) -> None:
    """Under ``held_out`` keep the weights of the epoch whose metrics on the held-out images are best so far."""
    if trainer.protocol.name != "held_out":
        return
    if history.best_epoch(trainer.rows, "val", trainer.metrics) == trainer.epoch:
        state = {name: value.clone() for name, value in trainer.model.state_dict().items()}
        trainer.best = {"epoch": trainer.epoch, "model": state}
