"""Targets as a run reads them: prepared arrays, and those that tasks make from them."""

from collections.abc import Iterator, Mapping

import numpy as np

from mtlbench.tasks import Task
from mtlbench.training.arrays import PreparedArrays


class Targets:
    """The arrays of prepared data and of ``tasks`` that are derived from them, read as those are (arrays.py)."""

    def __init__(self, prepared: PreparedArrays, tasks: Mapping[str, Task]) -> None:
        self.prepared = prepared
        self.derived = {name: task for name, task in tasks.items() if task.derived_from}

    def read(self, split: str, name: str) -> np.ndarray:
        """The array of an image or a task, (N, ...)."""
        return next(self._made(name, iter([self.prepared.read(split, self._source(name))])))

    def parts(self, split: str, name: str, size: int) -> Iterator[np.ndarray]:
        """What :meth:`read` returns, ``size`` images at a time."""
        return self._made(name, self.prepared.parts(split, self._source(name), size))

    def groups(self, split: str) -> np.ndarray | None:
        """The scene number (N,) of each image; None where every image is a scene of its own."""
        return self.prepared.groups(split)

    def _source(self, name: str) -> str:
        return self.derived[name].derived_from if name in self.derived else name

    def _made(self, name: str, arrays: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        return map(self.derived[name].derive, arrays) if name in self.derived else arrays
