"""One file is one task: its loss, its additive statistics, its metrics and how it is drawn."""

from mtlbench.tasks._base import Task, make_tasks, totals

__all__ = ["Task", "make_tasks", "totals"]
