"""Gains over single-task networks pooled over seeds and metrics: interquartile mean and performance profile.

Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS 2021 (arXiv
2108.13264): what they do with runs and tasks is done here with seeds and metrics. The metrics of one network move
together, so whole seeds count as one: there every (run, task) is drawn by itself.
"""

from collections.abc import Mapping

import numpy as np

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.gains import per_seed
from mtlbench.report.evidence.pairs import PairTests, compare
from mtlbench.report.evidence.statistics import LEVEL
from mtlbench.report.evidence.variance import Sample
from mtlbench.report.rows.grid import Grid, Row


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """The mean of the middle half of values (N, ...) over the first axis: floor(N / 4) are cut at each end."""
    ordered = np.sort(values, axis=0)
    cut = len(values) // 4
    return np.asarray(ordered[cut : len(values) - cut].mean(0))


def by_seed(gains: np.ndarray) -> np.ndarray:
    """The interquartile mean split into one value for each seed (seeds, ...) of gains (seeds, metrics, ...).

    Their mean is the interquartile mean; a seed's distance from it is its part by the influence function of a trimmed
    mean: values beyond the quartiles count as the quartiles (Tukey and McLaughlin, 1963), over the share that is kept.
    """
    seeds, metrics = gains.shape[:2]
    pooled = gains.reshape(seeds * metrics, *gains.shape[2:])
    cut = len(pooled) // 4
    ordered = np.sort(pooled, axis=0)
    inside = np.clip(gains, ordered[cut], ordered[len(pooled) - 1 - cut]).mean(1)
    return np.asarray(interquartile_mean(pooled) + (inside - inside.mean(0)) / (1 - 2 * cut / len(pooled)))


def of_baseline(gains: np.ndarray, relative: np.ndarray, higher: np.ndarray) -> np.ndarray:
    """By how much each of the baseline's seeds moves the interquartile mean (baseline's seeds, ...), to first order.

    ``gains`` (seeds, metrics, ...) in percent; ``relative`` (baseline's seeds, metrics, ...) the relative distance of
    its seeds from its mean; ``higher`` (metrics,) whether higher is better. By the derivative of +-100 (M / B - 1) in
    the baseline's mean B, at the values that are not cut.
    """
    seeds, metrics = gains.shape[:2]
    cut = seeds * metrics // 4
    order = np.argsort(gains.reshape(seeds * metrics, *gains.shape[2:]), axis=0, kind="stable")
    place = np.argsort(order, axis=0, kind="stable").reshape(gains.shape)
    weight = ((place >= cut) & (place < seeds * metrics - cut)) / (seeds * metrics - 2 * cut)
    up = higher.reshape(-1, *[1] * (gains.ndim - 2))
    slope = np.where(up, -100 - gains, 100 - gains)
    return np.asarray(((weight * slope).sum(0) * relative).sum(1))


def interquartile_tests(analysis: Analysis) -> PairTests | None:
    """Interquartile means of all rows against the baseline (0), with intervals by the report's one variance.

    None without a baseline, or where no row has all its gains and per-image results.
    """
    grid, evidence = analysis.grid, analysis.evidence
    baseline = grid.baseline
    if baseline is None or baseline.slug not in evidence:
        return None
    rows = rows_with_gains(analysis)
    if not rows:
        return None
    higher = np.array([column.metric.higher_is_better for column in grid.counted])
    single = _relative(grid, grid.reported[baseline.slug]), _relative(grid, evidence[baseline.slug].draws)
    samples, apart = {}, {}
    for row in rows:
        gains, drawn = per_seed(grid, row), drawn_gains(analysis, row, baseline)
        moved, moved_draws = (of_baseline(g, r, higher) for g, r in zip((gains, drawn), single, strict=True))
        values, draws = by_seed(gains), by_seed(drawn)
        if row.seeds == baseline.seeds:
            values, draws = values + moved, draws + moved_draws
        else:
            apart[row.slug] = moved
        samples[row.slug] = Sample(tuple(row.seeds), values, draws)
    return compare(samples, evidence[baseline.slug].scenes, baseline.slug, apart)


def rows_with_gains(analysis: Analysis) -> list[Row]:
    """Rows but the baseline that have every gain, on the test images and on each of their draws, best first.

    Where the baseline has 0 in a metric no row has.
    """
    baseline = analysis.grid.baseline
    if baseline is None or baseline.slug not in analysis.evidence:
        return []
    rows = [row for row in analysis.ranking if row is not baseline and row.slug in analysis.evidence]
    rows = [row for row in rows if np.isfinite(per_seed(analysis.grid, row)).all()]
    return [row for row in rows if np.isfinite(drawn_gains(analysis, row, baseline)).all()]


def drawn_gains(analysis: Analysis, row: Row, baseline: Row) -> np.ndarray:
    """Gains (seeds, metrics, draws) on resampled test images, over the baseline's mean on the same images."""
    values, base = (_stack(analysis.grid, analysis.evidence[one.slug].draws) for one in (row, baseline))
    return gain(analysis.grid, values, base.mean(0))


def gain(grid: Grid, values: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Gains in percent of values (seeds, metrics, ...) over base (metrics, ...), positive is better."""
    sign = np.array([1.0 if column.metric.higher_is_better else -1.0 for column in grid.counted])
    with np.errstate(all="ignore"):  # not finite where the base is 0
        return np.asarray(100 * sign.reshape(-1, *[1] * (values.ndim - 2)) * (values / base - 1))


def _relative(grid: Grid, values: Mapping[str, np.ndarray]) -> np.ndarray:
    found = _stack(grid, values)
    return np.asarray(found / found.mean(0) - 1)


def _stack(grid: Grid, values: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.stack([values[column.name] for column in grid.counted], axis=1)


def profile(gains: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The share of gains (..., seeds, metrics) above each number of ``at`` (K,): (..., K)."""
    return np.asarray((gains[..., None] > at).mean((-3, -2)))


def profile_band(analysis: Analysis, row: Row, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends (K,) of the pointwise 95 % bootstrap interval of :func:`profile`.

    Every draw takes scenes, seeds of the row and seeds of the baseline with replacement; seeds that both have are
    drawn together, and the metrics of a seed stay together.
    """
    baseline = analysis.grid.baseline
    assert baseline is not None
    values, base = (
        np.moveaxis(_stack(analysis.grid, analysis.evidence[one.slug].draws), -1, 0) for one in (row, baseline)
    )
    random, every = np.random.default_rng(0), np.arange(len(values))[:, None]
    seeds = random.integers(0, values.shape[1], values.shape[:2])
    shared = row.seeds == baseline.seeds
    others = seeds if shared else random.integers(0, base.shape[1], base.shape[:2])
    drawn = np.moveaxis(values[every, seeds], 0, -1), np.moveaxis(base[every, others].mean(1), 0, -1)
    shares = profile(np.moveaxis(gain(analysis.grid, *drawn), -1, 0), at)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(shares, [tail, 1 - tail], axis=0)
    return low, high
