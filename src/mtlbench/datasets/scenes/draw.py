"""Random choices that are the same on every machine and numpy version."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from mtlbench.datasets.scenes.solids import Rotation, tumbled

T = TypeVar("T")


class Draw:
    """Choices derived from the 53 random bits of ``Generator.random`` alone.

    numpy promises the stream of a bit generator for ever, but not how its distributions use it.
    """

    def __init__(self, *seed: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(list(seed))))

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * float(self._generator.random())

    def integer(self, count: int) -> int:
        """One of 0 .. count - 1."""
        return int(self._generator.random() * count)

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return bool(self._generator.random() < probability)

    def choice(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.integer(len(options))]

    def weighted(self, weights: Sequence[float]) -> int:
        """An index, drawn in proportion to the weights."""
        point = self._generator.random() * sum(weights)
        for index, weight in enumerate(weights):
            point -= weight
            if point < 0:
                return index
        return len(weights) - 1

    def tumbled(self) -> Rotation:
        """Uniformly random axes."""
        return tumbled(*(float(self._generator.random()) for _ in range(3)))

    def noise(self, shape: tuple[int, ...]) -> np.ndarray:
        """Nearly normal noise (float64, mean 0, variance 1): a sum of four uniform numbers."""
        total = sum(self._generator.random(shape) for _ in range(4))
        return (total - 2.0) * np.sqrt(3.0)
