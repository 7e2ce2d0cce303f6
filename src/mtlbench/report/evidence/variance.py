"""One variance for everything: how far means of rows and their differences would move with other seeds and images.

Rows share seeds, and with them initial weights and orders, so a value is row + seed + remainder: differences are
taken within seeds, where what all rows of a seed share cancels. Two or three seeds hardly tell one row's own
scatter, so it is held against the scatter of all rows; what is larger counts, because an unstable row must not be
called different by its neighbours' stability. Where the rows' scatter differs, they tell nothing about one another's
means: each then has the interval of its own values. docs/report.md has the simulated coverage and error rate.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

#: Fewer rows tell too little about one another's noise, and about whether it is equal.
FEWEST_ROWS = 4
#: Level of the test whether all rows are equally noisy. High, because pooling unequal rows costs coverage, and not
#: pooling equal ones only length.
EQUAL_NOISE = 0.5


@dataclass(frozen=True)
class Sample:
    """One row in one column: ``values`` (seeds,), and ``draws`` (seeds, draws) of resampled test images."""

    seeds: tuple[Hashable, ...]
    values: np.ndarray
    draws: np.ndarray


@dataclass(frozen=True)
class Estimate:
    """Variances and their degrees of freedom, arrays of one shape; NaN where nothing is known."""

    variance: np.ndarray
    freedom: np.ndarray

    def plus(self, variance: np.ndarray, freedom: float | np.ndarray) -> "Estimate":
        """The sum with an independent variance, degrees of freedom by Welch (1938) and Satterthwaite (1946)."""
        total = self.variance + variance
        with np.errstate(all="ignore"):
            parts = self.variance**2 / self.freedom + variance**2 / freedom
            joined = np.where(parts > 0, total**2 / np.where(parts > 0, parts, 1), self.freedom)
        return Estimate(total, np.where(np.isnan(total), np.nan, joined))

    def at(self, place: np.ndarray, other: "Estimate") -> "Estimate":
        """This one where ``place``, the other elsewhere."""
        return Estimate(np.where(place, self.variance, other.variance), np.where(place, self.freedom, other.freedom))


def seed_variance(samples: Sequence[Sample]) -> tuple[Estimate, Estimate]:
    """Variance between seeds of the mean of every row (m,) and of the difference of every two means (m, m).

    Rows with the seeds that most rows have are compared within these seeds, others between seeds. NaN when no row
    has two seeds.
    """
    means, differences = between_seeds([sample.values for sample in samples])
    sets = [sample.seeds for sample in samples]
    usual = max(dict.fromkeys(sets), key=sets.count)
    core = np.array([seeds == usual for seeds in sets])
    if len(usual) < 2:
        return means, differences
    inner = np.flatnonzero(core)
    of_means, of_differences = within_seeds(np.stack([one.values for one in samples if one.seeds == usual]))
    pair = core[:, None] & core
    place = np.searchsorted(inner, np.arange(len(sets))).clip(max=len(inner) - 1)
    spread_out = Estimate(of_means.variance[place], of_means.freedom[place])
    between = Estimate(*(part[place[:, None], place] for part in (of_differences.variance, of_differences.freedom)))
    return spread_out.at(core, means), between.at(pair, differences)


def within_seeds(values: np.ndarray) -> tuple[Estimate, Estimate]:
    """The same for values (rows, seeds), n >= 2, of rows that share their seeds.

    With the remainders e of the two-way fit row + seed, v = sum e^2 / (R - 1)(n - 1) and row r's own v_r = sum e_r^2
    R / (R - 1)(n - 1). A difference has the largest of 2 v, 2 v_a, 2 v_b and the variance of the paired differences,
    with (R - 1)(n - 1) degrees of freedom. A mean has the larger of the row's own variance, and that of the mean
    over rows (n - 1 degrees of freedom) plus (1 - 1/R) max(v, v_r); of fewer than ``FEWEST_ROWS`` rows, or of rows with
    unequal noise, each has its own variance alone, with n - 1 degrees of freedom: the textbook's interval.
    """
    rows, seeds = values.shape
    own = values.var(1, ddof=1)
    if rows == 1:
        return Estimate(own / seeds, np.full(1, seeds - 1.0)), Estimate(np.zeros((1, 1)), np.full((1, 1), seeds - 1.0))
    freedom = (rows - 1) * (seeds - 1)
    common = values.mean(0)
    remainder = values - values.mean(1, keepdims=True) - common + values.mean()
    squares = (remainder**2).sum(1)
    pooled = squares.sum() / freedom
    larger = np.maximum(pooled, squares / (seeds - 1) * rows / (rows - 1))
    with np.errstate(all="ignore"):
        degrees = np.where(larger > 0, seeds - 1 + (freedom - seeds + 1) * pooled / larger, freedom)
    shared = Estimate(np.full(rows, common.var(ddof=1)), np.full(rows, seeds - 1.0))
    mean = shared.plus((1 - 1 / rows) * larger, degrees)
    covariance = np.cov(values)
    paired = own[:, None] + own - 2 * covariance
    difference = np.maximum(paired, 2 * np.maximum(larger[:, None], larger))
    if rows < FEWEST_ROWS or unequal_noise(squares, seeds - 1):
        mean = Estimate(own, np.full(rows, seeds - 1.0))
    return (
        Estimate(np.maximum(mean.variance, own) / seeds, mean.freedom),
        Estimate(difference / seeds, np.full((rows, rows), float(freedom))),
    )


def unequal_noise(squares: np.ndarray, freedom: int) -> bool:
    """Cochran's C test (1941) of sums of squares (R,), ``freedom`` each: whether the largest is too large a share.

    With the share C of the largest, F = (R - 1) C / (1 - C) is compared with Fisher's distribution of (freedom,
    (R - 1) freedom), its probability times R with the level ``EQUAL_NOISE``.
    """
    rows, rest = len(squares), squares.sum() - squares.max()
    if rest <= 0:
        return bool(squares.max() > 0)
    ratio = (rows - 1) * squares.max() / rest
    return bool(rows * stats.f.sf(ratio, freedom, (rows - 1) * freedom) < EQUAL_NOISE)


def between_seeds(values: Sequence[np.ndarray]) -> tuple[Estimate, Estimate]:
    """The same for rows (one array of values each) whose seeds differ: nothing cancels.

    A row's variance is the larger of its own and the one pooled over all rows, which alone serves rows of one seed.
    """
    counts = np.array([len(found) for found in values])
    squares = np.array([((found - found.mean()) ** 2).sum() for found in values])
    freedom = float((counts - 1).sum())
    shape = (len(counts), len(counts))
    if not freedom:
        unknown = (np.full(shape[:1], np.nan), np.full(shape, np.nan))
        return Estimate(unknown[0], unknown[0]), Estimate(unknown[1], unknown[1])
    larger = np.maximum(squares.sum() / freedom, squares / np.maximum(counts - 1, 1))
    difference = np.maximum(larger[:, None], larger) * (1 / counts[:, None] + 1 / counts)
    # The rows may share seeds, so that the pooled variance of a mean knows no more than the seeds of one row.
    return (
        Estimate(larger / counts, np.full(len(counts), float(counts.max() - 1))),
        Estimate(difference, np.full(shape, freedom)),
    )


def image_variance(samples: Sequence[Sample], scenes: int) -> np.ndarray:
    """Covariance (m, m) of the rows' means over draws of ``scenes`` scenes, the same scenes for all rows.

    What differs from seed to seed on single images is a part of the variance between seeds already, so where all
    rows have the same n >= 2 seeds it is taken out: with C of the mean and c the mean over seeds of single seeds'
    covariances, (c - C) / (n - 1) is that part.
    """
    covariance = _covariance(np.stack([sample.draws.mean(0) for sample in samples]))
    count = len(samples[0].seeds)
    if count > 1 and len({sample.seeds for sample in samples}) == 1:
        single = np.mean([_covariance(np.stack([s.draws[i] for s in samples])) for i in range(count)], axis=0)
        covariance = covariance - (single - covariance) / (count - 1)
    return covariance * scenes / max(scenes - 1, 1)


def of_differences(covariance: np.ndarray) -> np.ndarray:
    """Variances (m, m) of all differences; not below 0."""
    own = np.diag(covariance)
    return np.maximum(own[:, None] + own - 2 * covariance, 0)


def _covariance(draws: np.ndarray) -> np.ndarray:
    return np.atleast_2d(np.cov(draws, bias=True))
