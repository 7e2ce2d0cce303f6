"""One training step: losses, the weighting's update, and what of it is recorded.

Augmentation and dropout draw from generators that are seeded by (seed, epoch, step). Nothing here waits for the device.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mtlbench.training.device import autocast, frozen_batchnorm
from mtlbench.training.domains import answers
from mtlbench.training.seeds import derive, generator
from mtlbench.training.supervision import training_loss
from mtlbench.training.trainer import Trainer


@dataclass(frozen=True)
class Part:
    """A batch and the tasks that look at it."""

    tasks: tuple[str, ...]
    batch: dict[str, Tensor]


def train_step(trainer: Trainer, parts: list[Part], rate: float) -> None:
    """Update the parameters once on the images of these parts; ``rate`` is the learning rate."""
    parts = augmented(trainer, parts)
    if trainer.weighting.looks_ahead or trainer.weighting.wants_held_out:
        _look_ahead(trainer, parts, rate)
    _seed_step(trainer)
    raw, losses = _losses(trainer, parts)
    trainer.optimizer.zero_grad(set_to_none=True)
    weights = trainer.weighting.backward(losses, trainer.shared)
    trainer.ranks.all_reduce(_own_gradients(trainer))
    trainer.optimizer.step()
    with torch.no_grad():
        record(trainer, losses, weights, raw, parts)
        if trainer.weighting.wants_losses_after_step:
            trainer.weighting.after_step(torch.stack(_losses_again(trainer, parts)))


def augmented(trainer: Trainer, parts: list[Part]) -> list[Part]:
    """The parts under the random changes that training.augmentation asks for at this step."""
    settings = trainer.training.augmentation
    if settings is None:
        return parts
    from mtlbench.training.augmentation import augment

    chance = generator(trainer.seed, "augment", trainer.epoch, trainer.step)
    maps = {name: task.maps for name, task in trainer.tasks.items()}
    return [
        Part(
            part.tasks,
            augment(part.batch, chance, maps=maps, scales=settings.scales, flip=settings.flip, compat=settings.compat),
        )
        if all(trainer.tasks[name].augmented for name in part.tasks)
        else part
        for part in parts
    ]


def _losses(trainer: Trainer, parts: list[Part]) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Raw outputs of the tasks of these parts, and the T losses: 0 without a gradient for the other tasks."""
    raw: dict[str, Tensor] = {}
    losses = {name: torch.zeros((), device=trainer.device, requires_grad=True) for name in trainer.tasks}
    for part in parts:
        with autocast(trainer.device, trainer.training.precision):
            raw |= answers(trainer.network, part.batch["image"], part.tasks, trainer.tasks)
        losses |= {
            name: training_loss(name, trainer.tasks[name], raw, part.batch[name], trainer.model.auxiliary)
            for name in part.tasks
        }
    return raw, list(losses.values())


def _losses_again(trainer: Trainer, parts: list[Part]) -> list[Tensor]:
    """The T losses of the current parameters on these parts, BatchNorm statistics untouched, the same dropout."""
    _seed_step(trainer)
    with frozen_batchnorm(trainer.model):
        return _losses(trainer, parts)[1]


def _look_ahead(trainer: Trainer, parts: list[Part], rate: float) -> None:
    def losses_on(which: str) -> list[Tensor]:
        if which == "train":
            return _losses_again(trainer, parts)
        chance = generator(trainer.seed, "held_out", trainer.epoch, trainer.step)
        drawn = torch.randperm(len(trainer.data.held_out), generator=chance)[: trainer.training.batch_size]
        held_out = trainer.data.train_split.batch(trainer.data.held_out[drawn])
        return _losses_again(trainer, [Part(tuple(trainer.tasks), held_out)])

    trainer.weighting.prepare_step(trainer.model, losses_on, rate)


def _own_gradients(trainer: Trainer) -> list[Tensor]:
    """The gradients that are of this process's images only: gradient methods have added up the shared ones."""
    added = set(trainer.shared) if trainer.weighting.needs_gradients else set()
    return [p.grad for p in trainer.model.parameters() if p.grad is not None and p not in added]


def record(
    trainer: Trainer, losses: list[Tensor], weights: Tensor, raw: Mapping[str, Tensor], parts: list[Part]
) -> None:
    """Add what the step says of itself to the epoch's sums: losses, weights and statistics of the tasks."""
    values = torch.stack([loss.detach() for loss in losses])
    trainer.bad = torch.where((trainer.bad < 0) & ~torch.isfinite(values), trainer.step, trainer.bad)
    images = _images(trainer, parts)
    trainer.meter.add("images", images)
    trainer.meter.add("steps", torch.ones((), device=trainer.device))
    trainer.meter.add("losses", values.double() * images)
    trainer.meter.add("weights", weights)
    for name, value in trainer.weighting.logs().items():
        trainer.meter.add(f"log/{name}", value)
    for part in parts:
        for name in part.tasks:
            prediction = trainer.tasks[name].activate(raw[name].detach())
            for statistic, counts in trainer.tasks[name].statistics(prediction, part.batch[name]).items():
                trainer.meter.add(f"{name}/{statistic}", counts.sum(0))


def _images(trainer: Trainer, parts: list[Part]) -> Tensor:
    """How many images the losses are means over: one number, or with several domains one for each task (T,)."""
    if len(trainer.domains) == 1:
        return torch.full((), float(len(parts[0].batch["image"])), device=trainer.device)
    count = {name: len(part.batch["image"]) for part in parts for name in part.tasks}
    return torch.tensor([float(count.get(name, 0)) for name in trainer.tasks], device=trainer.device)


def _seed_step(trainer: Trainer) -> None:
    torch.manual_seed(derive(trainer.seed, "step", trainer.epoch, trainer.step))
