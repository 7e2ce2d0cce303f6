"""Learning curves over the epochs, with bands over the seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mtlbench.metrics.metric import Metric
from mtlbench.report.figures.style import (
    BASELINE,
    QUIET,
    WIDTH,
    Picture,
    chunks,
    colours,
    keep_first,
    legend_above,
    new_figure,
    save,
    styled,
    tidy,
)
from mtlbench.report.rows.grid import SINGLE, Grid, Row
from mtlbench.report.rows.text import task_title
from mtlbench.report.rows.tidy import curve, thinned
from mtlbench.system.words import many

#: Above this many weightings each gets a panel of its own, with the others in grey behind it.
MOST_COLOURS = 7
#: Models side by side in the overview.
MOST_ACROSS = 5
SPLITS = {"test": "test", "val": "held out"}
_MARKERS = "osD^vPX"
CLIPPED = " Triangles at an edge: the curve goes on outside of the panel."
BAND = "Bands: one standard deviation over seeds."


def band(axes: Any, table: pd.DataFrame, colour: str, scale: float = 1.0, train: bool = False, **style: Any) -> None:
    """Draw the mean over seeds (columns) by epoch with one standard deviation; training curves thin and dashed."""
    if table.empty or table.isna().all(axis=None):
        return
    table = table.iloc[thinned(len(table))]
    epochs, values = table.index.to_numpy() + 1, table.mean(axis=1).to_numpy() * scale
    look: dict[str, Any] = (
        {"linewidth": 1.0, "linestyle": (0, (3, 1.6)), "alpha": 0.85} if train else {"linewidth": 1.6}
    )
    crowd = colour == QUIET  # behind the named curves
    if crowd:
        look |= {"linewidth": 0.7, "zorder": 1}
    axes.plot(epochs, values, color=colour, **{**look, **style})
    if table.shape[1] > 1 and not crowd:
        width = table.std(axis=1, ddof=1).to_numpy() * scale
        shade = {"color": colour, "alpha": 0.05 if train else 0.11, "linewidth": 0}
        axes.fill_between(epochs, values - width, values + width, **shade)


def sensible_range(axes: Any) -> None:
    """Cut off the wild first epochs: limits from the lines' points without the lowest and highest 2 %."""
    points = [np.asarray(line.get_ydata(), float) for line in axes.get_lines() if len(line.get_ydata()) > 2]
    values = np.concatenate(points) if points else np.array([])
    values = values[np.isfinite(values)]
    if len(values) > 40:
        low, high = np.quantile(values, [0.02, 0.98])
        margin = 0.08 * (high - low) or 0.05 * max(abs(high), 1e-6)
        axes.set_ylim(low - margin, high + margin)


def mark_clipped(axes: Any) -> bool:
    """Triangles at the edge where a curve leaves the panel; returns whether one does."""
    low, high = axes.get_ylim()
    found = False
    for line in list(axes.get_lines()):
        x, y = (np.asarray(values, float) for values in line.get_data())
        for outside, edge, shape in ((y > high, 1.0, "^"), (y < low, 0.0, "v")):
            if outside.any():
                found = True
                edges = np.full(outside.sum(), edge)
                look = {"color": line.get_color(), "markersize": 4, "clip_on": False, "zorder": 5}
                axes.plot(x[outside], edges, shape, transform=axes.get_xaxis_transform(), **look)
    return found


def line_look(number: int, count: int) -> dict[str, Any]:
    """Width and marker of one of ``count`` curves: later ones are thinner, so that equal curves all stay in sight."""
    width = 2.8 - 1.6 * number / max(1, count - 1)
    return {"linewidth": width, "marker": _MARKERS[number % len(_MARKERS)], "markersize": 3.6, "markevery": (number, 7),
            "markeredgecolor": "white", "markeredgewidth": 0.4}  # fmt: skip


def multi_task_rows(grid: Grid, model: str) -> list[Row]:
    """The rows of a model, without the single-task ones."""
    return [row for row in grid.rows if row.model == model and not row.single_task and row.done]


def multi_task_models(grid: Grid) -> list[str]:
    """Models with at least one finished multi-task row, in the order of the grid."""
    return list(dict.fromkeys(row.model for row in grid.rows if not row.single_task and row.done))


def has_baseline(grid: Grid) -> bool:
    """Whether there are single-task curves to draw."""
    return grid.baseline is not None and bool(grid.baseline.done)


def _single_label(grid: Grid, models: Sequence[str]) -> str:
    """Whose the dark curves are."""
    if not grid.several_baselines:
        return SINGLE
    found = {row.label for model in models if (row := grid.single_task_row(model))}
    return found.pop() if len(found) == 1 else f"{SINGLE}, of the same backbone"


def _legend(figure: Any, palette: dict[str, str], grid: Grid, models: Sequence[str]) -> None:
    handles = [
        Line2D([], [], color=colour, label=grid.titles[name], **line_look(i, len(palette)) | {"markevery": 1})
        for i, (name, colour) in enumerate(palette.items())
    ]
    if has_baseline(grid):
        handles.append(Line2D([], [], color=BASELINE, label=_single_label(grid, models)))
    handles.append(Line2D([], [], color="#555", label=SPLITS[grid.unseen]))
    handles.append(Line2D([], [], color="#555", linestyle=(0, (3, 1.6)), linewidth=1.0, label="train"))
    legend_above(figure, handles)


def _panel(
    axes: Any, grid: Grid, rows: Sequence[Row], palette: dict[str, str], task: str, metric: Metric | None
) -> None:
    """One panel: a metric (or the loss) of a task, for the rows of a model and the single-task networks beside it."""
    quantity, scale = (metric.name, metric.scale) if metric else ("loss", 1.0)
    single = grid.single_task_row(rows[0].model) if rows else grid.baseline
    lines = [(single, BASELINE)] if single is not None else []
    lines += [(row, palette[row.weighting]) for row in rows]
    looks: list[dict[str, Any]] = [{}] * (len(lines) - len(rows)) + [line_look(i, len(rows)) for i in range(len(rows))]
    for (row, colour), look in zip(lines, looks, strict=True):
        if colour != QUIET:
            band(axes, curve(row, task, quantity, "train"), colour, scale, train=True)
        band(axes, curve(row, task, quantity, grid.unseen), colour, scale, **({} if colour == QUIET else look))
    sensible_range(axes)
    tidy(axes)
    axes.set_ylabel(_quantity(grid, task, metric))
    axes.set_xmargin(0.01)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _quantity(grid: Grid, task: str, metric: Metric | None) -> str:
    if metric is None:
        return grid.tasks[task].loss_name
    return metric.display + (f" [{metric.unit}]" if metric.unit and metric.unit not in metric.display else "")


def _alt(rows: Sequence[Row]) -> str:
    return f"Line plots over the epochs for {', '.join(row.weighting_title for row in rows)}"


def model_curves(grid: Grid, model: str, folder: Path) -> list[Picture]:
    """Primary metric and loss of every task for one model, one colour per weighting."""
    pictures = []
    groups = chunks(multi_task_rows(grid, model), MOST_COLOURS)
    for part, rows in enumerate(groups):
        palette = colours([row.weighting for row in rows])
        with styled():
            figure = new_figure(WIDTH, 4.9)
            axes = figure.subplots(2, len(grid.tasks), squeeze=False, sharex=True)
            for column, (name, task) in enumerate(grid.tasks.items()):
                primary = next(metric for metric in task.metrics if metric.primary)
                _panel(axes[0, column], grid, rows, palette, name, primary)
                _panel(axes[1, column], grid, rows, palette, name, None)
                axes[0, column].set_title(task_title(name))
                axes[1, column].set_xlabel("epoch")
            clipped = sum(mark_clipped(panel) for panel in axes.flat) > 0
            figure.align_ylabels()
            _legend(figure, palette, grid, [model])
            suffix = f"_{part + 1}" if len(groups) > 1 else ""
            caption = (
                f"{grid.titles[model]}: the primary metric (above) and the loss (below) of each task over the epochs, "
                f"on the {SPLITS[grid.unseen]} images (solid) and the training images (dashed). {BAND} The gap between "
                f"the two is overfitting.{CLIPPED if clipped else ''}"
            )
            pictures.append(save(figure, folder, f"curves_{model}{suffix}", caption, _alt(rows)))
    return pictures


def all_metrics(grid: Grid, model: str, folder: Path) -> Picture:
    """Every metric of every task for one model (its first seven weightings)."""
    rows = multi_task_rows(grid, model)[:MOST_COLOURS]
    palette = colours([row.weighting for row in rows])
    with styled():
        panels = [(column.task, column.metric) for column in grid.columns]
        columns = min(3, len(panels))
        lines = -(-len(panels) // columns)
        figure = new_figure(WIDTH, 2.1 * lines + 0.5)
        axes = figure.subplots(lines, columns, squeeze=False, sharex=True)
        for panel, (task, metric) in zip(axes.flat, panels, strict=False):
            _panel(panel, grid, rows, palette, task, metric)
            panel.set_title(task_title(task))
        clipped = sum(mark_clipped(panel) for panel in axes.flat[: len(panels)]) > 0
        keep_first(axes, len(panels))
        figure.supxlabel("epoch", fontsize=8.5)
        _legend(figure, palette, grid, [model])
        return save(
            figure,
            folder,
            f"metrics_{model}",
            f"{grid.titles[model]}: all metrics over the epochs. {BAND}{CLIPPED if clipped else ''}",
            _alt(rows),
        )


def overview(grid: Grid, folder: Path) -> list[Picture]:
    """Small multiples: tasks down, models across, the same scale along each line."""
    pictures = []
    groups = chunks(multi_task_models(grid), MOST_ACROSS)
    weightings = list(dict.fromkeys(row.weighting for row in grid.rows if not row.single_task))
    palette = colours(weightings[:MOST_COLOURS]) | dict.fromkeys(weightings[MOST_COLOURS:], QUIET)
    for part, models in enumerate(groups):
        with styled():
            figure = new_figure(WIDTH, 1.75 * len(grid.tasks) + 0.7)
            axes = figure.subplots(len(grid.tasks), len(models), squeeze=False, sharex=True, sharey="row")
            for line, (name, task) in enumerate(grid.tasks.items()):
                primary = next(metric for metric in task.metrics if metric.primary)
                for column, model in enumerate(models):
                    panel = axes[line, column]
                    _panel(panel, grid, multi_task_rows(grid, model), palette, name, primary)
                    panel.set_title(grid.titles[model] if line == 0 else "", fontsize=8.5)
                    panel.set_ylabel(f"{task_title(name)}\n{_quantity(grid, name, primary)}" if column == 0 else "")
                _widest(axes[line])
            clipped = sum(mark_clipped(panel) for panel in axes.flat) > 0
            figure.supxlabel("epoch", fontsize=8.5)
            figure.align_ylabels()
            _legend(figure, {w: palette[w] for w in weightings[:MOST_COLOURS]}, grid, models)
            suffix = f"_{part + 1}" if len(groups) > 1 else ""
            split = SPLITS[grid.unseen]
            crowd = (
                f" Grey: the other {many(len(weightings) - MOST_COLOURS, 'weighting')}, {split} alone."
                if QUIET in palette.values()
                else ""
            )
            caption = (
                f"The primary metric of each task, model by model: {split} (solid) and train (dashed).{crowd} {BAND}"
                f"{CLIPPED if clipped else ''}"
            )
            alt = f"Line plots, a column for each of: {', '.join(grid.titles[model] for model in models)}"
            pictures.append(save(figure, folder, f"curves_overview{suffix}", caption, alt))
    return pictures


def _widest(axes: Any) -> None:
    """One range for panels that share their scale."""
    limits = [panel.get_ylim() for panel in axes if panel.get_lines()]
    if limits:
        axes[0].set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
