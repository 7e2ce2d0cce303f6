"""Optimiser and learning rate from their settings."""

import math

import torch
from torch import nn

from mtlbench.plan.params import Optimizer, Schedule
from mtlbench.weightings import Weighting


def make_optimizer(settings: Optimizer, model: nn.Module, weighting: Weighting) -> torch.optim.Optimizer:
    """The fused optimiser of the network's and the weighting's parameters; the latter have no weight decay."""
    groups = [{"params": list(model.parameters()), "weight_decay": settings.weight_decay}]
    learned = list(weighting.parameters())
    if learned:
        groups.append({"params": learned, "weight_decay": 0.0})
    if settings.name == "sgd":
        return torch.optim.SGD(
            groups, lr=settings.learning_rate, momentum=settings.momentum, nesterov=settings.nesterov, fused=True
        )
    kind = torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
    return kind(groups, lr=settings.learning_rate, fused=True)


def learning_rate(settings: Schedule, start: float, epoch: int, epochs: int) -> float:
    """The learning rate of an epoch, a pure function of its number."""
    if settings.name == "step":
        assert settings.every is not None
        assert settings.factor is not None
        return start * settings.factor ** (epoch // settings.every)
    if settings.name == "cosine":
        return start * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
    return start
