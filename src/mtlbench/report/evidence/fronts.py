"""How often a method lies on or above the front of fixed weights, over pairs of tasks, trials and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.gains import per_seed
from mtlbench.report.evidence.tuning import Tuned
from mtlbench.report.rows.costs import pareto


@dataclass(frozen=True)
class Count:
    """``above`` of ``total`` cases."""

    above: int
    total: int


@dataclass(frozen=True)
class Standing:
    """One row of a search against the fixed weights of its model, over the pairs of tasks.

    ``chosen``: its chosen trial, by pair; ``trials``: every trial with numbers, by pair, both against the front of all
    trials of fixed weights on the held-out images (a trial of the fixed weights themselves against the others').
    ``finals``: every final run, by pair and seed, that the final run of the chosen fixed weights with the same seed
    does not beat on the test images, ``beats`` those that beat it; None for the fixed weights themselves.
    """

    row: Tuned
    chosen: Count
    trials: Count
    finals: Count | None
    beats: Count | None


def standings(analysis: Analysis) -> list[Standing]:
    """The rows whose model has fixed weights searched, in the order of the search; [] with fewer than two tasks."""
    rows = [row for row in analysis.tuned if not row.single_task and np.isfinite(row.gains).all(1).any()]
    found = []
    for row in rows:
        fixed = fixed_row(rows, row.model)
        if fixed is not None and row.gains.shape[1] > 1:
            found.append(_standing(analysis, row, fixed))
    return found


def _standing(analysis: Analysis, row: Tuned, fixed: Tuned) -> Standing:
    pairs = [list(pair) for pair in combinations(range(row.gains.shape[1]), 2)]
    known = np.isfinite(row.gains).all(1)
    above = np.zeros((len(row.gains), len(pairs)), bool)
    for at, pair in enumerate(pairs):
        for trial in range(len(row.gains)):
            others = np.delete(fixed.gains, trial, axis=0) if row is fixed else fixed.gains
            above[trial, at] = undominated(row.gains[[trial]][:, pair], others[:, pair])[0]
    chosen = Count(int(above[row.chosen].sum()), len(pairs)) if row.chosen is not None else Count(0, 0)
    trials = Count(int(above[known].sum()), int(known.sum()) * len(pairs))
    if row is fixed:
        return Standing(row, chosen, trials, None, None)
    return Standing(row, chosen, trials, *_finals(analysis, row, fixed, pairs))


def _finals(analysis: Analysis, row: Tuned, fixed: Tuned, pairs: Sequence[list[int]]) -> tuple[Count, Count]:
    """Final runs (seed by seed, pair by pair) that the chosen fixed weights do not beat, and those that beat them."""
    own, other = (_gains_by_seed(analysis, one) for one in (row, fixed))
    cases = [(own[seed][None, pair], other[seed][None, pair]) for seed in own if seed in other for pair in pairs]
    level = sum(int(undominated(ours, fixed)[0]) for ours, fixed in cases)
    above = sum(int(not undominated(fixed, ours)[0]) for ours, fixed in cases)
    return Count(level, len(cases)), Count(above, len(cases))


def _gains_by_seed(analysis: Analysis, row: Tuned) -> dict[int, np.ndarray]:
    """{seed: gain (tasks,) of the primary metrics over the baseline's mean on the test images} of the final runs."""
    grid = analysis.grid
    primary = [column.metric.primary for column in grid.columns]
    for one in grid.rows:
        if (one.model, one.weighting) == (row.model, row.weighting) and one.seeds:
            values = per_seed(grid, one)[:, primary]
            return {seed: line for seed, line in zip(one.seeds, values, strict=True) if np.isfinite(line).all()}
    return {}


def undominated(gains: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which points (n, tasks) no point of ``others`` (m, tasks) beats: at least as good in all tasks, better in one.

    A point without numbers is False.
    """
    known = others[np.isfinite(others).all(1)]
    better = (known[None] >= gains[:, None]).all(2) & (known[None] > gains[:, None]).any(2)
    return np.asarray(np.isfinite(gains).all(1) & ~better.any(1))


def fixed_row(rows: Sequence[Tuned], model: str) -> Tuned | None:
    """The searched fixed weights of a model; None where they were not searched."""
    return next((row for row in rows if row.model == model and row.fixed), None)


def front(points: np.ndarray) -> np.ndarray:
    """Those of points (n, 2) that no other beats in both, from the lowest to the highest first coordinate."""
    known = points[np.isfinite(points).all(1)]
    return known[pareto(list(-known[:, 0]), list(known[:, 1]))][::-1]
