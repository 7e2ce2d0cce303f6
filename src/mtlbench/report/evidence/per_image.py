"""What the per-image files say about every row: values image by image, resampled, and as published codes average."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mtlbench.metrics.delta_m import DEFINITIONS, metric_weights, relative_gain
from mtlbench.report.evidence.statistics import image_weights, resampled_metrics
from mtlbench.report.rows.cells import LoadedCell
from mtlbench.report.rows.grid import DELTA_COLUMNS, Grid, Row
from mtlbench.tasks import Task

#: Images in a group whose statistics are added before they are reduced; WHOLE is the whole test set.
WHOLE, IMAGE = 0, 1
#: Auto-Lambda's code evaluates in batches of 4 images on every dataset.
AUTO_LAMBDA_BATCH = 4

Draws = dict[str, np.ndarray]


@dataclass
class RowEvidence:
    """Evidence of one row, from the final networks of its complete seeds.

    ``draws`` {column: (seeds, draws)} resamples the scenes of the test set, the same for all rows; ``influence``
    {definition of Delta_m: (baseline's seeds, draws)} is what each of the baseline's seeds moves; ``images`` {column:
    (seeds, N)} are the metrics of single images; ``grouped`` {images in a group: {column: (seeds,)}} the metrics
    averaged over groups; ``totals`` {task: {statistic: sum over images and seeds}}.
    """

    draws: Draws = field(default_factory=dict)
    images: Draws = field(default_factory=dict)
    grouped: dict[int, Draws] = field(default_factory=dict)
    scenes: int = 0
    influence: Draws = field(default_factory=dict)
    totals: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)


def collect(grid: Grid) -> dict[str, RowEvidence]:
    """{row slug: evidence} of the rows whose complete seeds all have their per-image files for the same images."""
    scenes = _scenes(grid)
    if not len(scenes):
        return {}
    weights = image_weights(scenes)
    found = {row.slug: _row_evidence(grid, row, weights) for row in grid.rows}
    complete = {slug: evidence for slug, evidence in found.items() if evidence is not None}
    for evidence in complete.values():
        evidence.scenes = len(np.unique(scenes))
    _add_delta_draws(grid, complete)
    return complete


def _scenes(grid: Grid) -> np.ndarray:
    """The scene of every test image, by the first readable cell; each image its own where no scenes are known."""
    for row in grid.rows:
        for cell in row.done:
            scenes = cell.scenes()
            if scenes is not None:
                return scenes
    return np.zeros(0, int)


def _row_evidence(grid: Grid, row: Row, weights: np.ndarray) -> RowEvidence | None:
    if not row.seeds:
        return None
    parts: list[_Part] = []
    totals: dict[str, dict[str, np.ndarray]] = {}
    for seed in row.seeds:
        part = _Part()
        for cell in (cell for cell in row.done if cell.cell.seed == seed):
            if not _add_cell(grid, cell, weights, part, totals):
                return None
        parts.append(part)
    if any(set(part.draws) != {column.name for column in grid.columns} for part in parts):
        return None
    return RowEvidence(
        _stack([part.draws for part in parts]), _stack([part.images for part in parts]),
        {size: _stack([part.grouped[size] for part in parts]) for size in parts[0].grouped}, totals=totals,
    )  # fmt: skip


@dataclass
class _Part:
    """The same as RowEvidence of one seed, without the axis of seeds."""

    draws: Draws = field(default_factory=dict)
    images: Draws = field(default_factory=dict)
    grouped: dict[int, Draws] = field(default_factory=dict)


def _stack(parts: list[Draws]) -> Draws:
    return {name: np.stack([part[name] for part in parts]) for name in parts[0]}


def _add_cell(
    grid: Grid, cell: LoadedCell, weights: np.ndarray, part: _Part, totals: dict[str, dict[str, np.ndarray]]
) -> bool:
    """Add one cell's numbers; False when its file does not fit."""
    per_image = cell.per_image()
    sizes = (WHOLE, IMAGE, AUTO_LAMBDA_BATCH, grid.input.published_batch)
    for name in cell.cell.tasks:
        statistics = per_image.get(name)
        if not statistics or any(len(values) != weights.shape[1] for values in statistics.values()):
            return False
        task = grid.tasks[name]
        part.draws |= _named(name, resampled_metrics(task, statistics, weights))
        part.images |= _named(name, task.reduce_many(statistics))
        for size in sizes:
            part.grouped.setdefault(size, {}).update(_named(name, group_means(task, statistics, size)))
        sums = totals.setdefault(name, {})
        for statistic, values in statistics.items():
            sums[statistic] = sums.get(statistic, 0) + _sum(values)
    return True


def _named(task: str, metrics: Mapping[str, np.ndarray]) -> Draws:
    return {f"{task}_{metric}": values for metric, values in metrics.items()}


def group_means(task: Task, statistics: Mapping[str, np.ndarray], size: int) -> dict[str, np.ndarray]:
    """{metric: mean over groups of ``size`` images} of per-image statistics; WHOLE takes all images as one group.

    The images are grouped in their order, as a loader without shuffling gives them. Groups without a valid pixel do
    not count.
    """
    images = len(next(iter(statistics.values())))
    starts = np.arange(0, images, size or images)
    grouped = {name: np.add.reduceat(_wide(values), starts, axis=0) for name, values in statistics.items()}
    return {name: _mean_of_known(values) for name, values in task.reduce_many(grouped).items()}


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
    single = evidence[grid.baseline.slug].draws
    baseline = {name: draws.mean(0) for name, draws in single.items()}
    for row in evidence.values():
        row.influence = baseline_influence(grid, row.draws, single)
        row.draws = row.draws | delta_draws(grid, row.draws, baseline)


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


def baseline_influence(grid: Grid, values: Draws, baseline: Draws) -> Draws:
    """{delta_m_<definition>: (baseline's seeds, ...)}: by how much each of the baseline's seeds moves a row's Delta_m.

    First order (delta method): the derivative of 100 (M - B) / B in B is -100 M / B^2, taken at the means over seeds,
    times the seed's distance from the baseline's mean. ``values`` and ``baseline``: {column: (seeds, ...)}.
    """
    found = {}
    for definition, column in zip(DEFINITIONS, DELTA_COLUMNS, strict=True):
        total: np.ndarray | float = 0.0
        for (task, metric), weight in metric_weights(grid.metrics, definition).items():
            name = f"{task}_{metric.name}"
            base = baseline[name].mean(0)
            # Where the baseline is 0, Delta_m is not defined.
            squared = np.where(base == 0, np.nan, base**2)
            slope = (-100 if metric.higher_is_better else 100) * values[name].mean(0) / squared
            total = total + weight * slope * (baseline[name] - base)
        found[column.name] = np.asarray(total)
    return found
