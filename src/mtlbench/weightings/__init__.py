"""One file is one weighting: how the losses or gradients of several tasks become one update."""

from mtlbench.weightings._base import Weighting, detached, positive
from mtlbench.weightings._gradients import GradientRows, GradientWeighting, cosines, require_few_tasks

__all__ = [
    "GradientRows",
    "GradientWeighting",
    "Weighting",
    "cosines",
    "detached",
    "positive",
    "require_few_tasks",
]
