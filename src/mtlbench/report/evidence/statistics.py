"""Statistics on plain arrays: bootstrap weights, intervals, tests, corrections, critical differences."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from mtlbench.tasks import Task

#: Bootstrap samples; with 1000 the ends of a 95 % interval move by about 2 % of its width between two draws.
DRAWS = 1000
LEVEL = 0.95


def image_weights(images: int, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """How often each test image occurs in each bootstrap sample: float64 (draws, images)."""
    random = np.random.default_rng(seed)
    return random.multinomial(images, np.full(images, 1 / images), size=draws).astype(np.float64)


def resampled_metrics(task: Task, per_image: Mapping[str, np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
    """Metrics (draws,) of every bootstrap sample of images, from additive per-image statistics (N, ...)."""
    totals = {}
    for name, values in per_image.items():
        flat = np.asarray(values, np.float64).reshape(len(values), -1)  # counts stay exact, in whatever order they add
        totals[name] = (weights @ flat).reshape(len(weights), *values.shape[1:])
    return task.reduce_many(totals)


def interval(draws: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of bootstrap draws; NaN when any draw is not a number."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def difference_tests(groups: Sequence[np.ndarray], image_variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(differences of means, two-sided p-values) of all pairs of methods over seeds and test images: (m, m) each.

    ``groups`` hold one value per seed of each method; ``image_variance`` (m, m) is the variance of the difference of
    two means over resampled test images, the same images for both. The variance between seeds is pooled over all
    methods, because three seeds hardly tell one method's own; where a pair's own is larger it is taken instead, so
    that an unstable method is not called different by its neighbours' stability. Both sources add up. The p-values
    are NaN on the diagonal, and everywhere when no method has two seeds.
    """
    counts = np.array([len(values) for values in groups])
    means = np.array([values.mean() for values in groups])
    squares = np.array([((values - values.mean()) ** 2).sum() for values in groups])
    difference = means[:, None] - means[None]
    freedom = int((counts - 1).sum())
    if not freedom:
        return difference, np.full_like(difference, np.nan)
    own_freedom = counts[:, None] + counts[None] - 2
    own = np.divide(squares[:, None] + squares[None], own_freedom, out=np.zeros_like(difference), where=own_freedom > 0)
    seeds = np.maximum(own, squares.sum() / freedom) * (1 / counts[:, None] + 1 / counts[None])
    error = np.sqrt(seeds + image_variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = 2 * stats.t.sf(np.abs(difference) / error, freedom)
    p_value = np.where(error > 0, p_value, (difference == 0).astype(float))
    np.fill_diagonal(p_value, np.nan)
    return difference, p_value


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


def probability_above(first: np.ndarray, second: np.ndarray) -> float:
    """Share of joint bootstrap draws in which the first is above the second; ties count half."""
    return float(np.mean(first > second) + 0.5 * np.mean(first == second))
