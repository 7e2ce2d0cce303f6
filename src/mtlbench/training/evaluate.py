"""Evaluation over a whole split: statistics are added, then reduced once."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mtlbench.tasks import Task
from mtlbench.training.data import Split, in_batches
from mtlbench.training.device import autocast
from mtlbench.training.domains import answers, domains_of

#: Images in one evaluation step: a constant, so that numbers do not depend on the training batch.
BATCH = 8


@dataclass(frozen=True)
class Evaluation:
    """What a network does on a set of images.

    ``losses`` {task: mean over images}, ``metrics`` {task: {metric: value}}, ``per_image`` {task: {statistic:
    (N, ...)}}.
    """

    losses: dict[str, float]
    metrics: dict[str, dict[str, float]]
    per_image: dict[str, dict[str, np.ndarray]]


@torch.no_grad()
def evaluate(model: nn.Module, tasks: Mapping[str, Task], split: Split, indices: Tensor, precision: str) -> Evaluation:
    """Losses, metrics and per-image statistics of ``model`` on the images ``indices`` of a split.

    The loss of a task is the mean over batches of ``BATCH`` images, weighted by their number of images. Each domain is
    evaluated on its own images; in the statistics all others are zeros.
    """
    losses: dict[str, float] = {}
    per_image: dict[str, dict[str, np.ndarray]] = {}
    for domain in domains_of(tasks, split, indices):
        own = {name: tasks[name] for name in domain.tasks}
        found, statistics = _evaluate(model, own, tasks, split, domain.indices, precision)
        losses |= found
        whole = len(domain.indices) == len(indices)
        where = domain.positions.numpy()
        per_image |= {
            name: {key: values if whole else _spread(values, where, len(indices)) for key, values in parts.items()}
            for name, parts in statistics.items()
        }
    return Evaluation(
        losses={name: losses[name] for name in tasks},
        metrics={name: task.reduce(_total(per_image[name])) for name, task in tasks.items()},
        per_image={name: per_image[name] for name in tasks},
    )


def _spread(values: np.ndarray, where: np.ndarray, count: int) -> np.ndarray:
    """Rows at their places among ``count`` rows of zeros."""
    found = np.zeros((count, *values.shape[1:]), values.dtype)
    found[where] = values
    return found


def _evaluate(
    model: nn.Module,
    own: Mapping[str, Task],
    tasks: Mapping[str, Task],
    split: Split,
    indices: Tensor,
    precision: str,
) -> tuple[dict[str, float], dict[str, dict[str, np.ndarray]]]:
    """Mean losses and per-image statistics of the tasks ``own``, which look at the same images."""
    model.eval()
    parts: dict[str, dict[str, list[Tensor]]] = {name: {} for name in own}
    sums = torch.zeros(len(own), dtype=torch.float64, device=split.device)
    groups = in_batches(indices, BATCH)
    for group, batch in zip(groups, split.batches(groups), strict=True):
        with autocast(split.device, precision):
            raw = answers(model, batch["image"], list(own), tasks)
        losses = [task.loss(raw[name], batch[name]) for name, task in own.items()]
        sums += torch.stack(losses).double() * len(group)
        for name, task in own.items():
            for statistic, values in task.statistics(task.activate(raw[name]), batch[name]).items():
                parts[name].setdefault(statistic, []).append(values)
    per_image = {
        name: {statistic: torch.cat(values).cpu().numpy() for statistic, values in found.items()}
        for name, found in parts.items()
    }
    means = (sums / len(indices)).tolist()
    return dict(zip(own, means, strict=True)), per_image


def _total(per_image: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: values.sum(0) for name, values in per_image.items()}
