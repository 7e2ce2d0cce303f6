"""Task against task: every trial of a search, the front of fixed weights, and what each method chose."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.fronts import fixed_row, front
from mtlbench.report.evidence.tuning import Tuned
from mtlbench.report.figures.style import (
    QUIET,
    WIDTH,
    Picture,
    keep_first,
    legend_above,
    new_figure,
    save,
    styled,
    tidy,
)
from mtlbench.report.rows.text import task_title
from mtlbench.system.colours import COLOURS

#: Models with a figure.
MOST_MODELS = 6


def fronts(analysis: Analysis, folder: Path) -> list[Picture]:
    """One figure for each model of the search, a panel for each pair of tasks."""
    rows = [row for row in analysis.tuned if not row.single_task and np.isfinite(row.gains).all(1).any()]
    models = list(dict.fromkeys(row.model for row in rows))[:MOST_MODELS]
    if len(analysis.grid.tasks) < 2:
        return []
    return [_front(analysis, model, [row for row in rows if row.model == model], folder) for model in models]


def _front(analysis: Analysis, model: str, rows: list[Tuned], folder: Path) -> Picture:
    tasks = [column.task for column in analysis.grid.columns if column.metric.primary]
    pairs = list(combinations(range(len(tasks)), 2))
    named = [row for row in rows if not row.fixed and row.chosen is not None][: len(COLOURS)]
    titles, fixed = analysis.grid.titles, fixed_row(rows, model)
    with styled():
        columns = min(3, len(pairs))
        lines = -(-len(pairs) // columns)
        figure = new_figure(WIDTH if columns > 2 else 3.2 * columns + 1.0, 2.9 * lines + 0.5)
        panels = figure.subplots(lines, columns, squeeze=False)
        for axes, (first, second) in zip(panels.flat, pairs, strict=False):
            handles = _panel(axes, rows, named, fixed, (first, second), titles)
            axes.set_xlabel(f"{task_title(tasks[first])}: gain [%]")
            axes.set_ylabel(f"{task_title(tasks[second])}: gain [%]")
        keep_first(panels, len(pairs))
        legend_above(figure, handles)
        steps = " Steps: the front of fixed weights; to the left and below, one of them is better in both tasks."
        line = steps if fixed is not None else ""
        left_out = " Trials that were stopped early are left out." if any(row.stopped for row in rows) else ""
        caption = (
            f"{titles.get(model, model)}, task against task: gain of the primary metrics over the baseline's chosen "
            "trials on the held-out images, up and to the right is better. Grey: every trial of every weighting."
            f"{line} Dots: the trial that each weighting chose. Every point is one run: how far points move from seed "
            f"to seed is not shown.{left_out}"
        )
        alt = f"Scatter plots of {len(pairs)} pairs of tasks with the choices of {len(named)} weightings"
        return save(figure, folder, f"search_front_{model}", caption, alt)


def _panel(
    axes: Any, rows: list[Tuned], named: list[Tuned], fixed: Tuned | None, pair: tuple[int, int],
    titles: dict[str, str],
) -> list[Any]:  # fmt: skip
    """Draw one pair of tasks; returns what the legend names."""
    pair_of = list(pair)
    for row in rows:
        axes.plot(*row.gains[:, pair_of].T, "o", color=QUIET, markersize=3, zorder=1)
    handles = [] if fixed is None else [_steps(axes, front(fixed.gains[:, pair_of]))]
    for row, colour in zip(named, COLOURS, strict=False):
        x, y = row.gains[row.chosen or 0, pair_of]
        label = titles.get(row.weighting, row.weighting)
        handles += axes.plot([x], [y], "o", color=colour, markersize=5.5, markeredgecolor="white", label=label)
    tidy(axes, "both")
    return handles


def _steps(axes: Any, points: np.ndarray) -> Any:
    """The edge of all that a point of the front beats, to the left and lower edges of the panel."""
    left, bottom = axes.get_xlim()[0], axes.get_ylim()[0]
    x, y = np.r_[left, points[:, 0], points[-1, 0]], np.r_[points[0, 1], points[:, 1], bottom]
    axes.plot(*points.T, ".", color="#555")
    (line,) = axes.plot(x, y, color="#555", linewidth=1.1, drawstyle="steps-pre", label="fixed weights")
    axes.set_xlim(left=left)
    axes.set_ylim(bottom=bottom)
    return line
