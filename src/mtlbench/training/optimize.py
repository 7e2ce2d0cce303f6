"""Optimiser and learning rate from their settings."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from mtlbench.models import Model, part_parameters
from mtlbench.plan.params import Optimizer, Schedule, Training
from mtlbench.plan.parts import PartBlock
from mtlbench.weightings import Weighting

#: What a parameter group says of its learning rate, where that is not the run's.
_FACTOR = "rate_factor"


def make_optimizer(
    settings: Optimizer, model: Model, weighting: Weighting, parts: Mapping[str, PartBlock]
) -> torch.optim.Optimizer:
    """The fused optimiser of the network's and the weighting's parameters; the latter have no weight decay.

    ``parts`` of the network have groups of their own, with the factor that :func:`set_rate` multiplies their rate by.
    """
    own = {name: part_parameters(model, name) for name in parts}
    apart = {id(parameter) for found in own.values() for parameter in found}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in apart]
    groups: list[dict[str, Any]] = [{"params": rest, "weight_decay": settings.weight_decay}]
    learned = list(weighting.parameters())
    if learned:
        groups.append({"params": learned, "weight_decay": 0.0})
    for name, found in own.items():
        groups.append({"params": found, "weight_decay": settings.weight_decay, _FACTOR: parts[name].rate_factor})
    if settings.name == "sgd":
        return torch.optim.SGD(
            groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=settings.nesterov, fused=True
        )
    kind = torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
    return kind(groups, lr=settings.learning_rate, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give all parameters the learning rate ``rate``, times the factor of their part."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get(_FACTOR, 1.0)


def rate_of(training: Training, epoch: int) -> float:
    """The learning rate of an epoch: of the schedule, which ends with the first phase, or that of the second one."""
    if training.second_phase is not None and epoch >= training.first_epochs:
        return training.second_phase.learning_rate
    return learning_rate(training.schedule, training.optimizer.learning_rate, epoch, training.first_epochs)


def learning_rate(settings: Schedule, start: float, epoch: int, epochs: int) -> float:
    """The learning rate of an epoch, a pure function of its number."""
    if settings.name == "step":
        assert settings.every is not None
        assert settings.factor is not None
        return start * settings.factor ** (epoch // settings.every)
    if settings.name == "cosine":
        return start * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
    return start
