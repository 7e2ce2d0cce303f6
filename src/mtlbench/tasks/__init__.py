"""One file is one task: its loss, its additive statistics, its metrics and how it is drawn."""

from mtlbench.maps import Classes, Directions, Distances, InverseDistances, Labels, Maps, Values
from mtlbench.tasks._base import Task, make_tasks, totals

__all__ = [
    "Classes",
    "Directions",
    "Distances",
    "InverseDistances",
    "Labels",
    "Maps",
    "Task",
    "Values",
    "make_tasks",
    "totals",
]
