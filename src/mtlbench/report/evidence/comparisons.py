"""Comparisons between rows: intervals, tests of all pairs, and which numbers may be marked as best."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mtlbench.report.evidence.per_image import RowEvidence
from mtlbench.report.evidence.statistics import LEVEL, block_ranks, difference_tests, holm, interval
from mtlbench.report.rows.grid import DELTA_COLUMNS, Column, Grid, Row, mean

BEST, SECOND, AHEAD = "best", "second", "ahead"


@dataclass(frozen=True)
class PairTests:
    """All pairs of rows tested in one column: matrices over ``slugs`` in their order.

    ``difference`` is line minus column in the stored unit; ``p_value`` and ``adjusted`` (Holm, for all pairs of the
    column) are NaN on the diagonal and where nothing can be tested.
    """

    slugs: tuple[str, ...]
    difference: np.ndarray
    p_value: np.ndarray
    adjusted: np.ndarray

    def adjusted_p(self, first: str, second: str) -> float:
        """The corrected p-value of a pair; NaN when it was not tested."""
        if first not in self.slugs or second not in self.slugs:
            return float("nan")
        return float(self.adjusted[self.slugs.index(first), self.slugs.index(second)])

    def significant(self, first: str, second: str) -> bool:
        """Whether the difference survives the correction for all pairs of the column."""
        return self.adjusted_p(first, second) < 1 - LEVEL

    @property
    def count(self) -> tuple[int, int]:
        """(pairs that survive, pairs that were tested)."""
        upper = self.adjusted[np.triu_indices(len(self.slugs), 1)]
        return int((upper < 1 - LEVEL).sum()), int((~np.isnan(upper)).sum())


def all_pairs(grid: Grid, column: Column, evidence: Mapping[str, RowEvidence]) -> PairTests:
    """All pairs of rows with numbers in a column, tested over seeds and images."""
    values = {r.slug: grid.reported[r.slug][column.name] for r in grid.rows if r.slug in evidence}
    slugs = [
        slug for slug, found in values.items()
        if len(found) and np.isfinite(found).all() and column.name in evidence[slug].draws
    ]  # fmt: skip
    if len(slugs) < 2:
        empty = np.full((len(slugs), len(slugs)), np.nan)
        return PairTests(tuple(slugs), empty, empty, empty)
    draws = np.stack([evidence[slug].draws[column.name].mean(0) for slug in slugs])
    covariance = np.cov(draws, bias=True)
    variances = np.diag(covariance)
    shared = np.maximum(variances[:, None] + variances[None] - 2 * covariance, 0)
    difference, p_value = difference_tests([values[slug] for slug in slugs], shared)
    upper = np.triu_indices(len(slugs), 1)
    adjusted = np.full_like(p_value, np.nan)
    adjusted[upper] = holm(p_value[upper])
    adjusted.T[upper] = adjusted[upper]
    return PairTests(tuple(slugs), difference, p_value, adjusted)


def marks(grid: Grid, column: Column, tests: PairTests) -> dict[str, str]:
    """{row slug: BEST, SECOND or AHEAD}.

    BEST: the best mean, and its lead over the next survives the test. AHEAD: the best mean, but the lead does not.
    SECOND: the second-best mean, when its lead over the third survives.
    """
    sign = 1 if column.metric.higher_is_better else -1
    means = {row.slug: sign * mean(grid.reported[row.slug][column.name]) for row in grid.rows}
    order = sorted((slug for slug, value in means.items() if np.isfinite(value)), key=lambda slug: -means[slug])
    found = {}
    if order:
        found[order[0]] = BEST if len(order) > 1 and tests.significant(*order[:2]) else AHEAD
    if len(order) > 2 and tests.significant(*order[1:3]):
        found[order[1]] = SECOND
    return found


@dataclass(frozen=True)
class Intervals:
    """95 % bootstrap intervals of a row's mean in one column: over images, over seeds, over both.

    They are those of the final networks, moved to the reported mean. NaN where there is one seed only.
    """

    mean: float
    images: tuple[float, float]
    seeds: tuple[float, float]
    both: tuple[float, float]


def joint_draws(grid: Grid, row: Row, column: Column, evidence: RowEvidence, seed: int = 1) -> np.ndarray:
    """Bootstrap draws of a row's mean over images and seeds together: (draws,)."""
    draws = evidence.draws[column.name]
    chosen = np.random.default_rng(seed).integers(0, len(draws), size=(draws.shape[1], len(draws)))
    values = grid.reported[row.slug][column.name]
    # The reported value of each drawn seed, plus what the drawn images change in its final network.
    moved = values[:, None] + draws - draws.mean(1, keepdims=True)
    return moved[chosen, np.arange(draws.shape[1])[:, None]].mean(1)


def intervals(grid: Grid, row: Row, column: Column, evidence: RowEvidence) -> Intervals:
    """The three intervals of a row's mean in one column."""
    values = grid.reported[row.slug][column.name]
    draws = evidence.draws[column.name]
    over_images = interval(draws.mean(0) - draws.mean() + values.mean())
    if len(values) < 2:
        return Intervals(mean(values), over_images, (np.nan, np.nan), (np.nan, np.nan))
    chosen = np.random.default_rng(2).integers(0, len(values), size=(draws.shape[1], len(values)))
    over_seeds = interval(values[chosen].mean(1))
    return Intervals(mean(values), over_images, over_seeds, interval(joint_draws(grid, row, column, evidence)))


def image_ranks(grid: Grid, evidence: Mapping[str, RowEvidence], slugs: list[str]) -> dict[str, np.ndarray]:
    """{task or "all tasks": ranks (images, rows)} of the primary metric of every single image, mean over seeds.

    For all tasks together the rows are ranked, image by image, by their mean rank over the tasks. Images without a
    valid pixel of a task are left out.
    """
    scores = {}
    for column in grid.columns:
        if column.metric.primary:
            sign = 1 if column.metric.higher_is_better else -1
            scores[column.task] = np.stack([sign * evidence[s].images[column.name].mean(0) for s in slugs], axis=1)
    if not scores:
        return {}
    known = ~np.isnan(np.stack(list(scores.values()))).any((0, 2))
    ranks = {task: block_ranks(values[known]) for task, values in scores.items()}
    if len(ranks) > 1:
        ranks = {"all tasks": block_ranks(-np.mean(list(ranks.values()), axis=0)), **ranks}
    return ranks


def main_column(grid: Grid) -> Column:
    """The column that figures compare by: flat Delta_m, or the first primary metric when there is no baseline."""
    if grid.baseline is not None and grid.baseline.done:
        return DELTA_COLUMNS[0]
    return next(column for column in grid.columns if column.metric.primary)
