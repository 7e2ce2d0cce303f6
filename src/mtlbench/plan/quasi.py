"""Quasi-random trials: the settings of a row's trials as a pure function of the space and a seed."""

import functools
from collections.abc import Sequence
from typing import Any

from mtlbench.plan.dimensions import Dimension

#: {part: {option: value}} with the parts optimizer, training (of which the schedule), model and weighting.
Setting = dict[str, dict[str, Any]]


def settings(dimensions: Sequence[Dimension], trials: int, seed: int) -> list[Setting]:
    """The settings of trials 0, 1, ... of a row.

    Points are of a scrambled Halton sequence (Halton 1960; scipy.stats.qmc), which has no length of its own: trial i is
    the same however many there are. Its first coordinates do not depend on how many follow, so rows whose first
    dimensions are the same (those of the optimiser) try the same values of these.
    """
    points = _points(sum(dimension.width for dimension in dimensions), trials, seed)
    return [_setting(dimensions, point) for point in points]


def _setting(dimensions: Sequence[Dimension], point: Sequence[float]) -> Setting:
    found: Setting = {"optimizer": {}, "training": {}, "model": {}, "weighting": {}}
    start = 0
    for dimension in dimensions:
        found[dimension.part][dimension.option] = dimension.value(point[start : start + dimension.width])
        start += dimension.width
    return found


@functools.lru_cache(maxsize=64)
def _points(width: int, count: int, seed: int) -> list[list[float]]:
    from scipy.stats import qmc  # here, because it takes a second, and most experiments have no search

    found: list[list[float]] = qmc.Halton(width, scramble=True, rng=seed).random(count).tolist()
    return found
