"""Comparisons between rows: intervals, tests of all pairs, and which numbers may be marked as best."""

from collections.abc import Mapping

import numpy as np

from mtlbench.report.evidence.pairs import PairTests, compare
from mtlbench.report.evidence.per_image import RowEvidence, baseline_influence
from mtlbench.report.evidence.statistics import LEVEL, block_ranks
from mtlbench.report.evidence.variance import Sample
from mtlbench.report.rows.grid import DELTA_COLUMNS, Column, Grid, Row, mean

BEST, SECOND, AHEAD, LEVEL_WITH_BEST = "best", "second", "ahead", "level"


def all_pairs(grid: Grid, column: Column, evidence: Mapping[str, RowEvidence]) -> PairTests:
    """All rows with numbers in a column, tested over seeds and images.

    The baseline's Delta_m is 0 by definition: its own noise is a part of every other row's.
    """
    chosen = [
        row for row in grid.rows
        if row.slug in evidence and column.name in evidence[row.slug].draws
        and np.isfinite(grid.reported[row.slug][column.name]).all()
    ]  # fmt: skip
    scenes = next((one.scenes for one in evidence.values()), 0)
    baseline = grid.baseline.slug if grid.baseline in chosen and grid.baseline else ""
    if column.task or not baseline:
        return compare({row.slug: _sample(grid, row, column, evidence) for row in chosen}, scenes, baseline)
    samples, apart = {}, {}
    for row in chosen:
        if row.slug != baseline:
            sample = _sample(grid, row, column, evidence)
            moved = baseline_influence(grid, grid.reported[row.slug], grid.reported[baseline])[column.name]
            if grid.baseline is not None and row.seeds == grid.baseline.seeds:
                drawn = evidence[row.slug].influence[column.name]
                sample = Sample(sample.seeds, sample.values + moved, sample.draws + drawn)
            else:
                apart[row.slug] = moved
            samples[row.slug] = sample
    return compare(samples, scenes, baseline, apart)


def _sample(grid: Grid, row: Row, column: Column, evidence: Mapping[str, RowEvidence]) -> Sample:
    return Sample(tuple(row.seeds), grid.reported[row.slug][column.name], evidence[row.slug].draws[column.name])


def marks(grid: Grid, column: Column, tests: PairTests) -> dict[str, str]:
    """{row slug: BEST, SECOND, AHEAD or LEVEL_WITH_BEST}.

    BEST: the best mean, and every other row is told from it by the test. AHEAD: the best mean, but it is not. LEVEL:
    not distinguishable from the best mean. SECOND: the second-best mean after a BEST, when its lead over the third
    survives.
    """
    sign = 1 if column.metric.higher_is_better else -1
    means = {row.slug: sign * mean(grid.reported[row.slug][column.name]) for row in grid.rows}
    order = sorted((slug for slug, value in means.items() if np.isfinite(value)), key=lambda slug: -means[slug])
    if not order:
        return {}
    best, others = order[0], order[1:]
    if others and all(tests.significant(best, other) for other in others):
        found = {best: BEST}
        if len(order) > 2 and tests.significant(*order[1:3]):
            found[order[1]] = SECOND
        return found
    level = [other for other in others if tests.adjusted_p(best, other) >= 1 - LEVEL]
    return {best: AHEAD, **dict.fromkeys(level, LEVEL_WITH_BEST)}


def image_ranks(grid: Grid, evidence: Mapping[str, RowEvidence], slugs: list[str]) -> dict[str, np.ndarray]:
    """{task or "all tasks": ranks (images, rows)} of the primary metric of every single image, mean over seeds.

    For all tasks together the rows are ranked, image by image, by their mean rank over the tasks. Images without a
    valid pixel of a task are left out. Where no image has all tasks (domains), each task has its own images, and all
    tasks together have all of them.
    """
    scores = {}
    for column in grid.columns:
        if column.metric.primary:
            sign = 1 if column.metric.higher_is_better else -1
            scores[column.task] = np.stack([sign * evidence[s].images[column.name].mean(0) for s in slugs], axis=1)
    if not scores:
        return {}
    defined = ~np.isnan(np.stack(list(scores.values()))).any(2)
    known = defined.all(0)
    if not known.any():
        ranks = {task: block_ranks(values[own]) for (task, values), own in zip(scores.items(), defined, strict=True)}
        return {"all tasks": np.concatenate(list(ranks.values())), **ranks}
    ranks = {task: block_ranks(values[known]) for task, values in scores.items()}
    if len(ranks) > 1:
        ranks = {"all tasks": block_ranks(-np.mean(list(ranks.values()), axis=0)), **ranks}
    return ranks


def main_column(grid: Grid) -> Column:
    """The column that figures compare by: flat Delta_m, or the first primary metric where that is not defined.

    It is not without a baseline, and where the baseline has a metric of exactly 0.
    """
    primary = next(column for column in grid.columns if column.metric.primary)
    if grid.baseline is None or not grid.baseline.seeds:
        return primary
    return primary if undefined(grid) else DELTA_COLUMNS[0]


def undefined(grid: Grid) -> list[Column]:
    """The metrics in which the baseline has exactly 0 or no number, so that no relative gain exists."""
    if grid.baseline is None or not grid.baseline.seeds:
        return []
    values = grid.baseline_values()
    found = [(column, values[column.task][column.metric.name]) for column in grid.counted]
    return [column for column, value in found if value == 0 or not np.isfinite(value)]
