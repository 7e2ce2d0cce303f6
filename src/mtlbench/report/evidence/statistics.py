"""Statistics on plain arrays: bootstrap weights, intervals, tests, corrections, critical differences."""

from collections.abc import Mapping

import numpy as np
from scipy import stats

from mtlbench.tasks import Task

#: Bootstrap samples; with 1000 the ends of a 95 % interval move by about 2 % of its width between two draws.
DRAWS = 1000
LEVEL = 0.95


def image_weights(scenes: np.ndarray, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """How often each test image occurs in each bootstrap sample: float64 (draws, images).

    Whole scenes are drawn (``scenes``: the scene of every image), because images of one scene resemble each other.
    """
    _, place = np.unique(scenes, return_inverse=True)
    count = int(place.max()) + 1
    random = np.random.default_rng(seed)
    return random.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)[:, place]


def resampled_metrics(task: Task, per_image: Mapping[str, np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
    """Metrics (draws,) of every bootstrap sample of images, from additive per-image statistics (N, ...)."""
    totals = {}
    for name, values in per_image.items():
        flat = np.asarray(values, np.float64).reshape(len(values), -1)  # counts stay exact, in whatever order they add
        totals[name] = (weights @ flat).reshape(len(weights), *values.shape[1:])
    return task.reduce_many(totals)


def interval(mean: float, variance: float, freedom: float, level: float = LEVEL) -> tuple[float, float]:
    """Interval of a mean by the t distribution; NaN when nothing is known of its variance."""
    half = float(stats.t.ppf((1 + level) / 2, freedom) * np.sqrt(variance)) if variance > 0 else float(variance)
    return mean - half, mean + half


def two_sided(difference: np.ndarray, variance: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """p-values of differences by the t distribution; without any variance 1 where equal and 0 where not."""
    with np.errstate(all="ignore"):
        p_value = 2 * stats.t.sf(np.abs(difference) / np.sqrt(variance), freedom)
    return np.where(variance == 0, (difference == 0).astype(float), p_value)


def probability_above(difference: np.ndarray, variance: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Probability that the true difference is above 0, by the distribution that gives the p-values.

    It is 1 - p/2 where the difference is positive and p/2 where it is negative, so it cannot contradict the test.
    """
    half = two_sided(difference, variance, freedom) / 2
    return np.where(difference > 0, 1 - half, half)


def holm(p_values: np.ndarray) -> np.ndarray:
    """p-values (m,) adjusted for m tests by Holm's step-down procedure; NaN stays NaN and does not count."""
    p_values = np.asarray(p_values, np.float64)
    adjusted = np.full(p_values.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p_values[order] * factors))
    return adjusted


def critical_difference(methods: int, blocks: int, alpha: float = 1 - LEVEL) -> float:
    """Nemenyi's critical difference of mean ranks (Demsar, JMLR 2006, section 3.2.2)."""
    quantile = stats.studentized_range.ppf(1 - alpha, methods, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(methods * (methods + 1) / (6 * blocks)))


def block_ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks (blocks, methods) within each block of scores (blocks, methods), higher is better; 1 is best."""
    return stats.rankdata(-scores, axis=1)


def friedman_p(ranks: np.ndarray) -> float:
    """p-value of Friedman's test that all methods rank alike, in the F form of Iman and Davenport (1980)."""
    blocks, methods = ranks.shape
    if methods < 2 or blocks < 2:
        return float("nan")
    spread = ((ranks.mean(0) - (methods + 1) / 2) ** 2).sum()
    chi2 = 12 * blocks / (methods * (methods + 1)) * spread
    remaining = blocks * (methods - 1) - chi2
    if remaining <= 0:
        return 0.0
    return float(stats.f.sf((blocks - 1) * chi2 / remaining, methods - 1, (methods - 1) * (blocks - 1)))
