"""The gain over single-task networks, rows by metrics."""

from pathlib import Path
from typing import Any

import numpy as np
import seaborn as sns

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.comparisons import main_column
from mtlbench.report.evidence.gains import Gains, gains
from mtlbench.report.figures.style import INK, Picture, new_figure, readable_cells, save, styled, wrapped
from mtlbench.report.rows.grid import Column
from mtlbench.report.rows.text import DASH, number, task_title

#: Of larger grids the best rows are shown.
MOST_ROWS = 40


def gain_matrix(analysis: Analysis, folder: Path) -> Picture | None:
    """Rows by metrics: relative gain over the baseline's mean in percent; positive is better whatever the metric."""
    found = gains(analysis)
    shown = slice(MOST_ROWS)
    values, sure = found.mean[shown], found.established[shown]
    if not np.isfinite(values).any():
        return None
    columns = analysis.grid.counted
    limit = colour_limit(values)
    with styled():
        figure = new_figure(0.62 * len(columns) + 3.4, 0.27 * len(values) + 2.1)
        axes = figure.subplots()
        sns.heatmap(
            values, ax=axes, cmap="RdBu", vmin=-limit, vmax=limit, annot=labels(values, sure), fmt="",
            xticklabels=[column.metric.display for column in columns],
            yticklabels=wrapped(row.label for row in found.rows[shown]), linewidths=0.6, linecolor="white",
            annot_kws={"fontsize": 7.5}, cbar_kws={"label": "gain [%]", "shrink": 0.9, "extend": "both"},
        )  # fmt: skip
        readable_cells(axes)
        axes.tick_params(length=0)
        axes.tick_params(axis="y", rotation=0)
        axes.set_xticklabels(axes.get_xticklabels(), rotation=35, ha="right", rotation_mode="anchor")
        _name_tasks(axes, columns)
        return save(figure, folder, "gains", _caption(analysis, found, limit), _alt(analysis, found))


def colour_limit(values: np.ndarray) -> float:
    """Where the colours end: the 90th percentile of the sizes, so that one wild row does not pale the others."""
    return max(float(np.nanquantile(np.abs(values), 0.9)), 1.0)


def labels(values: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """The texts of the cells: a sign always, one decimal, a dot where the difference is established."""
    texts = [
        (DASH if np.isnan(value) else ("+" if round(value, 1) > 0 else "") + number(value, 1)) + (" •" if dot else "")
        for value, dot in zip(values.flat, sure.flat, strict=True)
    ]
    return np.array(texts).reshape(values.shape)


def _name_tasks(axes: Any, columns: tuple[Column, ...]) -> None:
    """The tasks above their metrics, with a line between tasks."""
    names = [column.task for column in columns]
    for task in dict.fromkeys(names):
        first, count = names.index(task), names.count(task)
        axes.text(first + count / 2, -0.25, task_title(task), ha="center", va="bottom", fontsize=8.5, weight="bold")
        if first:
            axes.axvline(first, color=INK, linewidth=1.2)


def _caption(analysis: Analysis, found: Gains, limit: float) -> str:
    total = len(found.rows)
    which = f"The best {MOST_ROWS} of {total} rows" if total > MOST_ROWS else "All rows"
    columns = [column.task for column in analysis.grid.counted]
    parts = ", ".join(f"{task_title(task).lower()} {columns.count(task)}" for task in analysis.grid.tasks)
    baseline = analysis.grid.baseline.label if analysis.grid.baseline is not None else ""
    return (
        f"{which}, best first by {main_column(analysis.grid).metric.display}: gain of every metric over the mean of "
        f"{baseline} in percent of it, mean over seeds; + is better also where lower values are. Δm flat is the mean "
        f"of a line, so a task counts as often as it has metrics ({parts} of {len(columns)}). A dot: the difference "
        f"from the baseline survives Holm's correction over the rows of the metric (5 %). A dash: not defined. "
        f"Colours end at ±{limit:.0f} %."
    )


def _alt(analysis: Analysis, found: Gains) -> str:
    best = found.mean[0]
    names = [f"{task_title(c.task)} {c.metric.display}" for c in analysis.grid.counted]
    first = ", ".join(f"{name} {number(value, 1)} %" for name, value in zip(names, best, strict=True))
    return f"Matrix of {len(found.rows)} rows by {len(names)} metrics; its first line, {found.rows[0].label}: {first}"
