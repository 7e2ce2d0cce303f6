"""Pairs of rows in one column: means with intervals, tests of all pairs, all from one variance."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mtlbench.report.evidence.statistics import LEVEL, holm, interval, probability_above, two_sided
from mtlbench.report.evidence.variance import Estimate, Sample, image_variance, of_differences, seed_variance


@dataclass(frozen=True)
class PairTests:
    """All rows of one column with intervals, and all pairs tested: matrices over ``slugs`` in their order.

    ``means`` (m,), ``spread`` their variances and degrees of freedom, ``images`` the part of the test images alone.
    ``difference`` is line minus column in the stored unit, ``error`` its variance and degrees of freedom,
    ``image_error`` the part of that variance which comes from the test images. ``p_value``,
    ``adjusted`` (Holm, for all pairs of the column) and ``against_baseline`` (m,) (Holm, for the comparisons with the
    baseline alone: a smaller family) are NaN on the diagonal and where nothing can be tested.
    """

    slugs: tuple[str, ...]
    means: np.ndarray
    spread: Estimate
    images: Estimate
    difference: np.ndarray
    error: Estimate
    image_error: np.ndarray
    p_value: np.ndarray
    adjusted: np.ndarray
    against_baseline: np.ndarray

    def adjusted_p(self, first: str, second: str) -> float:
        """The corrected p-value of a pair; NaN when it was not tested."""
        if first not in self.slugs or second not in self.slugs:
            return float("nan")
        return float(self.adjusted[self.slugs.index(first), self.slugs.index(second)])

    def significant(self, first: str, second: str) -> bool:
        """Whether the difference survives the correction for all pairs of the column."""
        return self.adjusted_p(first, second) < 1 - LEVEL

    @property
    def above(self) -> np.ndarray:
        """Probability (m, m) that the line's true mean is above the column's, by the same t distribution."""
        return probability_above(self.difference, self.error.variance, self.error.freedom)

    @property
    def count(self) -> tuple[int, int]:
        """(pairs that survive, pairs that were tested)."""
        upper = self.adjusted[np.triu_indices(len(self.slugs), 1)]
        return int((upper < 1 - LEVEL).sum()), int((~np.isnan(upper)).sum())

    def intervals(self, slug: str) -> "Intervals":
        """The intervals of a row's mean."""
        at = self.slugs.index(slug)
        value = float(self.means[at])
        images, both = (
            interval(value, float(one.variance[at]), float(one.freedom[at])) for one in (self.images, self.spread)
        )
        return Intervals(value, images, both)


@dataclass(frozen=True)
class Intervals:
    """95 % intervals of a row's mean: over test images alone, and over images and seeds (NaN with one seed)."""

    mean: float
    images: tuple[float, float]
    both: tuple[float, float]


def compare(
    samples: Mapping[str, Sample], scenes: int, baseline: str = "", apart: Mapping[str, np.ndarray] | None = None
) -> PairTests:
    """Tests of all pairs of ``samples`` {row: sample}.

    A ``baseline`` that is not among them is added as a constant 0. ``apart`` {row: (baseline's seeds,)} is the
    influence of a baseline whose seeds are not the row's.
    """
    slugs, rows = list(samples), list(samples.values())
    means = np.array([one.values.mean() for one in rows])
    difference = means[:, None] - means
    if rows:
        spread, error = seed_variance(rows)
        for slug, influence in (apart or {}).items():
            spread = _add_baseline(spread, slugs.index(slug), influence, rows)
        covariance = image_variance(rows, scenes)
        images = Estimate(np.maximum(np.diag(covariance), 0), np.full(len(rows), max(scenes - 1.0, 1)))
        spread = spread.plus(images.variance, images.freedom)
        image_error = of_differences(covariance)
        error = error.plus(image_error, max(scenes - 1.0, 1))
    else:
        spread = images = Estimate(np.zeros(0), np.zeros(0))
        error = Estimate(np.zeros((0, 0)), np.zeros((0, 0)))
        image_error = np.zeros((0, 0))
    if baseline and baseline not in slugs:
        image_error = _grown(image_error, images.variance)
        slugs, means, spread, images, difference, error = _with_zero(
            baseline, slugs, means, spread, images, difference, error
        )
    p_value = two_sided(difference, error.variance, error.freedom)
    np.fill_diagonal(p_value, np.nan)
    upper = np.triu_indices(len(slugs), 1)
    adjusted = np.full_like(p_value, np.nan)
    adjusted[upper] = holm(p_value[upper])
    adjusted.T[upper] = adjusted[upper]
    against = holm(p_value[slugs.index(baseline)]) if baseline else np.full(len(slugs), np.nan)
    return PairTests(tuple(slugs), means, spread, images, difference, error, image_error, p_value, adjusted, against)


def _add_baseline(spread: Estimate, at: int, influence: np.ndarray, rows: list[Sample]) -> Estimate:
    """Add the seed noise of a baseline with other seeds; one seed says nothing, so then the rows' noise stands in."""
    count = len(influence)
    if count > 1:
        noise, freedom = influence.var(ddof=1) / count, count - 1.0
    else:
        noise, freedom = spread.variance[at] * len(rows[at].seeds), spread.freedom[at]
    where = np.arange(len(rows)) == at
    return spread.plus(np.where(where, noise, 0), freedom).at(where, spread)


def _with_zero(
    baseline: str,
    slugs: list[str],
    means: np.ndarray,
    spread: Estimate,
    images: Estimate,
    difference: np.ndarray,
    error: Estimate,
) -> tuple[list[str], np.ndarray, Estimate, Estimate, np.ndarray, Estimate]:
    """The same with the baseline before the others: 0 without any error, its noise is in the others' spread."""

    def front(one: Estimate) -> Estimate:
        return Estimate(np.r_[0, one.variance], np.r_[1, one.freedom])

    joined = Estimate(_grown(error.variance, spread.variance), _grown(error.freedom, spread.freedom))
    return (
        [baseline, *slugs], np.r_[0, means], front(spread), front(images), _grown(difference, means, -1), joined,
    )  # fmt: skip


def _grown(matrix: np.ndarray, edge: np.ndarray, sign: int = 1) -> np.ndarray:
    """``matrix`` (m, m) with a first line and column of ``edge`` (m,), 0 in the corner."""
    return np.block([[np.zeros((1, 1)), sign * edge[None]], [edge[:, None], matrix]])
