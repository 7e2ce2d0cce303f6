"""The metric on unseen images at equal training loss: does a row generalise better, or does it only train further?

Mueller et al. 2024 (arXiv 2408.14677) compare so. One level for each task: the lowest training loss that every run
reaches. At the first epoch at which a run is at or below it, its metric is read off between that epoch and the one
before, linearly in the training loss, so that all runs are compared at the same loss and not at the next epoch's end.
"""

from dataclasses import dataclass

import numpy as np

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.rows.grid import Column, Row
from mtlbench.report.rows.tidy import curve


@dataclass(frozen=True)
class EqualLoss:
    """One task: ``level`` is the common training loss, set by ``slowest`` (the row whose run got least far).

    ``at_level`` and ``at_end`` are {row slug: the primary metric (seeds,)} at that loss and after the last epoch.
    ``early`` of all ``runs`` are at or below the level in their first epoch already, and are read off after it.
    """

    column: Column
    level: float
    slowest: Row
    at_level: dict[str, np.ndarray]
    at_end: dict[str, np.ndarray]
    early: int
    runs: int


def equal_loss(analysis: Analysis) -> list[EqualLoss]:
    """All tasks that two rows or more have curves of; rows without them are left out."""
    found = (_task(analysis, column) for column in analysis.grid.columns if column.metric.primary)
    return [one for one in found if one is not None]


def _task(analysis: Analysis, column: Column) -> EqualLoss | None:
    runs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    rows = {row.slug: row for row in analysis.ranking}
    for row in analysis.ranking:
        losses = curve(row, column.task, "loss", "train")
        metrics = curve(row, column.task, column.metric.name, analysis.grid.unseen)
        shared = [seed for seed in losses if seed in metrics]
        pairs = [(losses[seed].to_numpy(float), metrics[seed].to_numpy(float)) for seed in shared]
        if pairs and all(np.isfinite(part).all() for pair in pairs for part in pair):
            runs[row.slug] = pairs
    if len(runs) < 2:
        return None
    lowest = {slug: max(loss.min() for loss, _ in pairs) for slug, pairs in runs.items()}
    slowest = max(lowest, key=lambda slug: lowest[slug])
    level = float(lowest[slowest])
    return EqualLoss(
        column, level, rows[slowest],
        {slug: np.array([metric_at(*pair, level) for pair in pairs]) for slug, pairs in runs.items()},
        {slug: np.array([metric[-1] for _, metric in pairs]) for slug, pairs in runs.items()},
        sum(int(loss[0] <= level) for pairs in runs.values() for loss, _ in pairs),
        sum(len(pairs) for pairs in runs.values()),
    )  # fmt: skip


def metric_at(loss: np.ndarray, metric: np.ndarray, level: float) -> float:
    """The metric (epochs,) where ``loss`` (epochs,) first falls to ``level``; NaN where it never does."""
    below = np.flatnonzero(loss <= level)
    if not len(below):
        return float("nan")
    at = int(below[0])
    if at == 0:
        return float(metric[0])
    share = (loss[at - 1] - level) / (loss[at - 1] - loss[at])
    return float(metric[at - 1] + share * (metric[at] - metric[at - 1]))
