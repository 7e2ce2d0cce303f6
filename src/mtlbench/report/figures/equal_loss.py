"""Small multiples of the metric on unseen images at equal training loss, beside the one at the end of training."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.equal_loss import EqualLoss, equal_loss
from mtlbench.report.figures.curves import SPLITS
from mtlbench.report.figures.style import (
    BASELINE,
    WIDTH,
    Picture,
    legend_above,
    new_figure,
    save,
    styled,
    tidy,
    wrapped,
)
from mtlbench.report.rows.grid import Row
from mtlbench.report.rows.text import number, task_title
from mtlbench.system.colours import COLOURS

#: Rows that fit; of larger grids the best ones are shown.
MOST_ROWS = 40
#: Panels of one figure.
_ACROSS = 4


def at_equal_loss(analysis: Analysis, folder: Path) -> Picture | None:
    """A panel for each task, a line for each row, best row of the report first."""
    tasks = equal_loss(analysis)
    rows = [row for row in analysis.ranking if any(row.slug in one.at_level for one in tasks)]
    shown = rows[:MOST_ROWS]
    if not tasks:
        return None
    with styled():
        columns = min(_ACROSS, len(tasks))
        lines = -(-len(tasks) // columns)
        figure = new_figure(WIDTH, (0.24 * len(shown) + 0.9) * lines + 0.3)
        panels = figure.subplots(lines, columns, squeeze=False, sharey=True)
        for axes, one in zip(panels.flat, tasks, strict=False):
            _panel(axes, one, shown)
        for axes in panels.flat[len(tasks) :]:
            axes.axis("off")
        split = SPLITS[analysis.grid.unseen]
        legend_above(figure, [_marker(True, "at equal training loss"), _marker(False, "after the last epoch")])
        alt = (
            f"Dots for {len(shown)} rows in {len(tasks)} panels: {', '.join(task_title(o.column.task) for o in tasks)}"
        )
        return save(figure, folder, "equal_loss", _caption(tasks, split, len(rows), len(shown)), alt)


def _panel(axes: Any, one: EqualLoss, rows: list[Row]) -> None:
    metric = one.column.metric
    for line, row in enumerate(rows):
        if row.slug not in one.at_level:
            continue
        colour = BASELINE if row.single_task else COLOURS[0]
        level, end = one.at_level[row.slug] * metric.scale, one.at_end[row.slug] * metric.scale
        axes.plot([level.mean(), end.mean()], [line, line], color=colour, linewidth=0.8, alpha=0.5)
        axes.plot([end.mean()], [line], "o", color=colour, markerfacecolor="white", markersize=4.5)
        axes.plot(level, np.full(len(level), line), "|", color=colour, markersize=5, alpha=0.6)
        axes.plot([level.mean()], [line], "o", color=colour, markersize=5)
    axes.set_title(task_title(one.column.task))
    unit = f" [{metric.unit}]" if metric.unit and metric.unit not in metric.display else ""
    axes.set_xlabel(f"{metric.display}{unit} {one.column.arrow}\nat a training loss of {one.level:.3g}")
    axes.set_yticks(range(len(rows)), wrapped(row.label for row in rows))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    tidy(axes, "x")
    axes.tick_params(axis="y", length=0)


def _marker(filled: bool, label: str) -> Any:
    face = COLOURS[0] if filled else "white"
    return Line2D([], [], color=COLOURS[0], marker="o", markerfacecolor=face, linestyle="", label=label, markersize=5)


def _caption(tasks: list[EqualLoss], split: str, total: int, shown: int) -> str:
    levels = "; ".join(
        f"{task_title(one.column.task).lower()} {number(one.level, 3)}, set by {one.slowest.label}" for one in tasks
    )
    early = "; ".join(f"{task_title(o.column.task).lower()} {o.early} of {o.runs}" for o in tasks if o.early)
    fast = f" Runs that are below it in their first epoch are shown after that one: {early}." if early else ""
    which = f" The best {shown} of {total} rows." if shown < total else ""
    return (
        f"The primary metric on the {split} images at equal training loss (Mueller et al. 2024), from the curves of "
        "the final runs. For each task the level is the lowest training loss that every run reaches in some epoch "
        f"({levels}). Filled: the metric where a run's training loss first falls to it, linearly between two epochs, "
        f"mean over seeds (strokes: single seeds); rings: after the last epoch.{fast} Filled dots above one another "
        "mean that rows differ by how far they train, not by how well they generalise. The training loss is the mean "
        f"over an epoch's steps, of augmented images where training augments; the single-task networks are dark.{which}"
    )
