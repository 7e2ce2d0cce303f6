"""One file is one weighting: how the losses or gradients of several tasks become one update."""

from mtlbench.weightings._base import Features, Weighting, detached, positive
from mtlbench.weightings._gradients import GradientRows, GradientWeighting, cosines, require_few_tasks

__all__ = [
    "Features",
    "GradientRows",
    "GradientWeighting",
    "Weighting",
    "cosines",
    "detached",
    "positive",
    "require_few_tasks",
]
