"""Figures that rank the rows: intervals of Delta_m, pairwise probabilities, critical differences."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.comparisons import image_ranks, main_column
from mtlbench.report.evidence.statistics import critical_difference, friedman_p
from mtlbench.report.figures.style import (
    BASELINE,
    INK,
    WIDTH,
    Picture,
    new_figure,
    readable_cells,
    save,
    styled,
    tidy,
    wrapped,
)
from mtlbench.report.rows.grid import Column, Row, mean
from mtlbench.report.rows.text import number, task_title
from mtlbench.system.colours import COLOURS

#: Rows that fit into these figures; of larger grids the best ones are shown.
MOST_ROWS = 40
MOST_PAIRS = 20
MOST_DIAGRAM = 12


def rows_with_evidence(analysis: Analysis, most: int) -> list[Row]:
    """The best rows that have evidence, best first."""
    tests = analysis.pairs[main_column(analysis.grid).name]
    return [row for row in analysis.ranking if row.slug in tests.slugs][:most]


def forest(analysis: Analysis, folder: Path) -> Picture | None:
    """The main column of every row with its intervals and single seeds."""
    column, rows = main_column(analysis.grid), rows_with_evidence(analysis, MOST_ROWS)
    if not rows:
        return None
    scale = column.metric.scale
    with styled():
        figure = new_figure(5.6, 0.26 * len(rows) + 0.9)  # fits a phone
        axes = figure.subplots()
        for line, row in enumerate(rows):
            found = analysis.pairs[column.name].intervals(row.slug)
            colour = BASELINE if row.single_task else COLOURS[0]
            outer = found.both if np.isfinite(found.both[0]) else found.images
            axes.plot(np.array(outer) * scale, [line, line], color=colour, linewidth=1.1, alpha=0.7)
            axes.plot(
                np.array(found.images) * scale,
                [line, line],
                color=colour,
                linewidth=3.4,
                alpha=0.45,
                solid_capstyle="butt",
            )
            seeds = analysis.grid.reported[row.slug][column.name] * scale
            axes.plot(
                seeds, np.full(len(seeds), line), "o", color="white", markeredgecolor=colour, markersize=3.4, alpha=0.9
            )
            axes.plot([found.mean * scale], [line], "o", color=colour, markersize=5.5)
        axes.set_yticks(range(len(rows)), wrapped(row.label for row in rows))
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel(_axis(column))
        if not column.task:
            axes.axvline(0, color="#8A9099", linewidth=0.9, zorder=0)
        tidy(axes, "x")
        axes.tick_params(axis="y", length=0)
        sns.despine(ax=axes, left=True)
        means = (
            f"{row.label} {number(mean(analysis.grid.reported[row.slug][column.name]) * scale, 2)}" for row in rows
        )
        alt = f"One line per row, best first: {'; '.join(means)}"
        return save(figure, folder, "intervals", _forest_caption(analysis, column, len(rows)), alt)


def _forest_caption(analysis: Analysis, column: Column, shown: int) -> str:
    total = len(analysis.ranking)
    which = f"The best {shown} of {total} rows" if shown < total else "All rows"
    outer = "thin: over test images and seeds" if analysis.seeds > 1 else "one seed: nothing is known about other seeds"
    zero = (
        " The baseline is 0 by definition: its own noise is a part of the others' intervals." if not column.task else ""
    )
    return (
        f"{which} by {column.metric.display or column.name}: mean over seeds (dot), single seeds (rings), 95 % "
        f"intervals by the t distribution (thick: over test images alone; {outer}).{zero} An interval that leaves out "
        f"another row's mean does not tell the two apart: see the pairs. {images_text(analysis)}"
    )


def images_text(analysis: Analysis) -> str:
    """What was resampled: scenes, or single images where no scenes are known."""
    one = next(iter(analysis.evidence.values()))
    images = next(iter(one.images.values())).shape[1]
    if one.scenes == images:
        return f"Each of the {images} test images counts as a scene of its own."
    return f"The {images} test images are resampled by their {one.scenes} scenes."


def _axis(column: Column) -> str:
    name = column.metric.display if not column.task else f"{task_title(column.task)}: {column.metric.display}"
    unit = f" [{column.metric.unit}]" if column.metric.unit else ""
    return f"{name}{unit}, {'higher' if column.metric.higher_is_better else 'lower'} is better"


def pair_matrix(analysis: Analysis, rows: list[Row]) -> pd.DataFrame:
    """Probability that the row's method beats the column's in the main column, by the distribution of the tests."""
    column = main_column(analysis.grid)
    tests = analysis.pairs[column.name]
    place = [tests.slugs.index(row.slug) for row in rows]
    above = tests.above[np.ix_(place, place)]
    values = above if column.metric.higher_is_better else 1 - above
    np.fill_diagonal(values, np.nan)
    names = wrapped(row.label for row in rows)
    return pd.DataFrame(values, names, names)


def pairwise(analysis: Analysis, folder: Path) -> Picture | None:
    """Probability that A beats B as a matrix; a dot marks pairs that survive the corrected test."""
    rows = rows_with_evidence(analysis, MOST_PAIRS)
    if len(rows) < 3 or analysis.seeds < 2:
        return None
    matrix = pair_matrix(analysis, rows) * 100
    column = main_column(analysis.grid)
    tests = analysis.pairs[column.name]
    signs = [["•" if tests.significant(a.slug, b.slug) else "" for b in rows] for a in rows]
    labels = [
        ["" if np.isnan(value) else f"{value:.0f}{sign}" for value, sign in zip(line, line_signs, strict=True)]
        for line, line_signs in zip(matrix.to_numpy(), signs, strict=True)
    ]
    with styled():
        side = 0.36 * len(rows)
        longest = 0.068 * max(len(line) for name in matrix.index for line in name.splitlines())  # inches
        figure = new_figure(side + max(3.4, 1.8 + longest), side + max(2.2, 0.6 + longest))
        axes = figure.subplots()
        bar = {"label": "A beats B [%]", "shrink": 0.6, "ticks": [0, 25, 50, 75, 100], "boundaries": range(101)}
        sns.heatmap(
            matrix, ax=axes, cmap="RdBu", vmin=-50, vmax=150, annot=np.array(labels), fmt="", square=True,
            linewidths=0.6, linecolor="white", annot_kws={"fontsize": 7}, cbar_kws=bar,
        )  # fmt: skip
        readable_cells(axes)
        axes.set_xlabel("B")
        axes.set_ylabel("A")
        axes.tick_params(length=0)
        axes.tick_params(axis="x", rotation=90)
        caption = (
            f"Probability in percent that A (line) beats B (column) by {column.metric.display}, best rows first, from "
            "the t distribution that gives the p-values and intervals: 97.5 and more, or 2.5 and less, is p < 0.05 "
            "before any correction. A dot marks pairs that survive Holm's correction for all pairs of rows."
        )
        return save(figure, folder, "pairs", caption, f"Square matrix of {len(rows)} rows against one another")


def critical_differences(analysis: Analysis, folder: Path) -> Picture | None:
    """Critical-difference diagrams of the mean rank over test images, for all tasks together and each by itself."""
    rows = rows_with_evidence(analysis, MOST_DIAGRAM)
    ranks = image_ranks(analysis.grid, analysis.evidence, [row.slug for row in rows]) if len(rows) > 2 else {}
    if not ranks:
        return None
    with styled():
        half = -(-len(rows) // 2)
        figure = new_figure(WIDTH, (0.2 * half + 1.15) * len(ranks))
        for axes, (name, table) in zip(figure.subplots(len(ranks), 1, squeeze=False).flat, ranks.items(), strict=True):
            distance = critical_difference(len(rows), len(table))
            _diagram(axes, [row.label for row in rows], table.mean(0), distance)
            p = friedman_p(table)
            axes.set_title(
                f"{task_title(name)}  (Friedman p {'< 0.001' if p < 1e-3 else f'= {p:.3f}'}, {len(table)} images)"
            )
        caption = (
            "Of these networks, not of these methods: critical-difference diagrams (Demšar 2006) of the mean rank over "
            "the test images by the primary metric of the single image (mean over seeds); 1 is best. Rows joined by a "
            "bar do not differ by more than the critical difference CD (Nemenyi, 5 %). It says nothing about other "
            "seeds: where these rule, equal methods differ here almost always. Images of one scene are not "
            "independent, so CD is optimistic."
        )
        return save(figure, folder, "critical_difference", caption, f"An axis of ranks for each of: {', '.join(ranks)}")


def _diagram(axes: Any, names: list[str], ranks: np.ndarray, distance: float) -> None:
    """Ranks on an axis from best (left) to worst, names on both sides, bars over cliques."""
    count, half = len(names), -(-len(names) // 2)
    order = np.argsort(ranks, kind="stable")
    low, high = 1.0, float(count)
    cliques = _cliques(ranks[order], distance)
    base = 0.55 + 0.32 * len(cliques)
    axes.set_xlim(low - 0.42 * (high - low), high + 0.42 * (high - low))
    axes.set_ylim(-(base + half), 1.9)
    axes.plot([low, high], [0, 0], color=INK, linewidth=1)
    for tick in range(1, count + 1):
        axes.plot([tick, tick], [0, 0.18], color=INK, linewidth=0.8)
        axes.text(tick, 0.32, str(tick), ha="center", va="bottom", fontsize=7.5)
    for position, index in enumerate(order):
        left = position < half
        level = -(base + (position if left else count - 1 - position))
        edge = low - 0.03 * (high - low) if left else high + 0.03 * (high - low)
        axes.plot([ranks[index], ranks[index], edge], [0, level, level], color="#6B727B", linewidth=0.8)
        align = "right" if left else "left"
        gap = -0.008 if left else 0.008
        axes.text(edge + gap * (high - low), level, f"{names[index]}", ha=align, va="center", fontsize=8)
    for i, (first, last) in enumerate(cliques):
        height = -(0.3 + 0.32 * i)
        axes.plot(
            [ranks[order[first]] - 0.04, ranks[order[last]] + 0.04], [height, height], color=COLOURS[1], linewidth=3
        )
    axes.plot([low, low + distance], [1.55, 1.55], color=COLOURS[1], linewidth=2)
    axes.text(low + distance + 0.05, 1.55, f"CD = {distance:.2f}", va="center", fontsize=7.5)
    axes.axis("off")


def _cliques(ranks: np.ndarray, distance: float) -> list[tuple[int, int]]:
    """Longest runs (first, last) of sorted mean ranks that stay within the distance; runs inside others are dropped."""
    found: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = int(np.searchsorted(ranks, ranks[first] + distance, side="right")) - 1
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found
