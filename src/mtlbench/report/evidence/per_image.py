"""What the per-image files say about every row: values image by image, resampled, and as published codes average."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mtlbench.metrics.delta_m import DEFINITIONS, metric_weights, relative_gain
from mtlbench.report.evidence.statistics import image_weights, resampled_metrics
from mtlbench.report.rows.cells import LoadedCell
from mtlbench.report.rows.grid import DELTA_COLUMNS, Grid, Row
from mtlbench.tasks import Task

#: How statistics can be grouped before they are reduced: over the whole set, per batch, per image.
WHOLE, BATCH, IMAGE = "whole", "batch", "image"

Draws = dict[str, np.ndarray]


@dataclass
class RowEvidence:
    """Evidence of one row, from the final networks of its complete seeds.

    ``draws`` {column: (seeds, draws)} resamples the test images, the same images for all rows; ``images`` {column:
    (seeds, N)} are the metrics of single images; ``grouped`` {grouping: {column: (seeds,)}} the metrics averaged
    over groups; ``totals`` {task: {statistic: sum over images and seeds}}.
    """

    draws: Draws = field(default_factory=dict)
    images: Draws = field(default_factory=dict)
    grouped: dict[str, Draws] = field(default_factory=dict)
    totals: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)


def collect(grid: Grid) -> dict[str, RowEvidence]:
    """{row slug: evidence} of the rows whose complete seeds all have their per-image files for the same images."""
    images = _image_count(grid)
    if not images:
        return {}
    weights = image_weights(images)
    found = {row.slug: _row_evidence(grid, row, weights) for row in grid.rows}
    complete = {slug: evidence for slug, evidence in found.items() if evidence is not None}
    _add_delta_draws(grid, complete)
    return complete


def _image_count(grid: Grid) -> int:
    """Test images of the first readable cell."""
    for row in grid.rows:
        for cell in row.done:
            for statistics in cell.per_image().values():
                return len(next(iter(statistics.values())))
    return 0


def _row_evidence(grid: Grid, row: Row, weights: np.ndarray) -> RowEvidence | None:
    if not row.seeds:
        return None
    per_seed = []
    totals: dict[str, dict[str, np.ndarray]] = {}
    for seed in row.seeds:
        joined: dict[str, Draws] = {kind: {} for kind in ("draws", IMAGE, BATCH, WHOLE, "images")}
        cells = [cell for cell in row.done if cell.cell.seed == seed]
        for cell in cells:
            if not _add_cell(grid, cell, weights, joined, totals):
                return None
        per_seed.append(joined)
    if any(set(joined["draws"]) != {column.name for column in grid.columns} for joined in per_seed):
        return None

    def stack(kind: str) -> Draws:
        return {name: np.stack([joined[kind][name] for joined in per_seed]) for name in per_seed[0][kind]}

    return RowEvidence(stack("draws"), stack("images"), {kind: stack(kind) for kind in (WHOLE, BATCH, IMAGE)}, totals)


def _add_cell(
    grid: Grid, cell: LoadedCell, weights: np.ndarray, joined: dict[str, Draws], totals: dict[str, dict]
) -> bool:
    """Add one cell's numbers; False when its file does not fit."""
    per_image = cell.per_image()
    for name in cell.cell.tasks:
        statistics = per_image.get(name)
        if not statistics or any(len(values) != weights.shape[1] for values in statistics.values()):
            return False
        task = grid.tasks[name]
        parts = {
            "draws": resampled_metrics(task, statistics, weights),
            "images": task.reduce_many(statistics),
            **group_means(task, statistics, grid.input.compat_batch),
        }
        for kind, metrics in parts.items():
            joined[kind].update({f"{name}_{metric}": values for metric, values in metrics.items()})
        sums = totals.setdefault(name, {})
        for statistic, values in statistics.items():
            sums[statistic] = sums.get(statistic, 0) + _sum(values)
    return True


def group_means(task: Task, statistics: Mapping[str, np.ndarray], batch: int) -> dict[str, dict[str, np.ndarray]]:
    """{grouping: {metric: mean over groups}} of per-image statistics; groups without a valid pixel do not count.

    The images are grouped in their order, ``batch`` at a time, as a loader without shuffling gives them.
    """
    found = {WHOLE: task.reduce_many({name: _sum(values)[None] for name, values in statistics.items()})}
    for kind, size in ((BATCH, batch), (IMAGE, 1)):
        starts = np.arange(0, len(next(iter(statistics.values()))), size)
        grouped = {name: np.add.reduceat(_wide(values), starts, axis=0) for name, values in statistics.items()}
        found[kind] = task.reduce_many(grouped)
    return {kind: {name: _mean_of_known(values) for name, values in metrics.items()} for kind, metrics in found.items()}


def _mean_of_known(values: np.ndarray) -> np.ndarray:
    known = values[~np.isnan(values)]
    return np.asarray(known.mean() if len(known) else np.nan)


def _wide(values: np.ndarray) -> np.ndarray:
    """Counts are stored in the smallest type that holds them; sums need more room."""
    return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)


def _sum(values: np.ndarray) -> np.ndarray:
    return _wide(values).sum(0)


def _add_delta_draws(grid: Grid, evidence: dict[str, RowEvidence]) -> None:
    """Delta_m of every resampled test set, against the baseline on the same images."""
    if grid.baseline is None or grid.baseline.slug not in evidence:
        return
    baseline = {name: draws.mean(0) for name, draws in evidence[grid.baseline.slug].draws.items()}
    for row in evidence.values():
        row.draws.update(delta_draws(grid, row.draws, baseline))


def delta_draws(grid: Grid, values: Draws, baseline: Draws) -> Draws:
    """{delta_m_<definition>: array} of arrays {column: array} against {column: array} that broadcasts."""
    found = {}
    for definition, column in zip(DEFINITIONS, DELTA_COLUMNS, strict=True):
        weights = metric_weights(grid.metrics, definition)
        found[column.name] = sum(
            weight * relative_gain(values[f"{task}_{metric.name}"], baseline[f"{task}_{metric.name}"], metric)
            for (task, metric), weight in weights.items()
        )
    return found
