"""Cost against quality, and one multi-task network against the single-task networks it replaces."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.comparisons import main_column
from mtlbench.report.figures.style import (
    BASELINE,
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
from mtlbench.report.rows.costs import cost, pareto
from mtlbench.report.rows.grid import Row, mean
from mtlbench.system.colours import COLOURS

_AXES = (
    ("parameters", "parameters [millions]", 1e-6),
    ("flops", "forward pass [GFLOP per image]", 1e-9),
    ("seconds_per_epoch", "training [s per epoch]", 1.0),
    ("inference_seconds", "inference [ms per image]", 1e3),
)


def cost_quality(analysis: Analysis, folder: Path) -> Picture | None:
    """Pareto plots: each cost on a logarithmic axis against the main column."""
    rows = analysis.ranking
    column = main_column(analysis.grid)
    costs = {row.slug: cost(row) for row in rows}
    shown = [axis for axis in _AXES if any(getattr(found, axis[0]) for found in costs.values())]
    if not shown or len(rows) < 2:
        return None
    models = list(dict.fromkeys(row.model for row in analysis.grid.rows if not row.single_task))
    palette = {model: COLOURS[i] if i < len(COLOURS) else QUIET for i, model in enumerate(models)}
    quality = {row.slug: mean(analysis.grid.reported[row.slug][column.name]) * column.metric.scale for row in rows}
    sign = 1 if column.metric.higher_is_better else -1
    with styled():
        columns = min(2, len(shown))
        lines = -(-len(shown) // columns)
        figure = new_figure(WIDTH, 2.9 * lines + 0.4)
        panels = figure.subplots(lines, columns, squeeze=False, sharey=True)
        for axes, (name, label, scale) in zip(panels.flat, shown, strict=False):
            known = [row for row in rows if getattr(costs[row.slug], name)]
            points = [(getattr(costs[row.slug], name) * scale, quality[row.slug]) for row in known]
            _pareto_panel(axes, known, points, palette, sign)
            axes.set_xlabel(label)
        keep_first(panels, len(shown))
        for axes in panels[:, 0]:
            axes.set_ylabel(column.metric.display + (f" [{column.metric.unit}]" if column.metric.unit else ""))
        handles = [_marker(BASELINE, "s", "single-task (all networks)")]
        named = list(palette.items())[: len(COLOURS)]
        handles += [_marker(colour, "o", analysis.grid.titles[model]) for model, colour in named]
        if grey := [analysis.grid.titles[model] for model in list(palette)[len(COLOURS) :]]:
            handles.append(_marker(QUIET, "o", grey[0] if len(grey) == 1 else "other networks"))
        legend_above(figure, handles)
        caption = (
            f"Cost against {column.metric.display}, one point per row. The line joins the rows that no other row beats "
            "in both (Pareto front). Single-task rows cost what their networks cost together. Logarithmic cost axes."
        )
        return save(figure, folder, "cost_quality", caption, f"Scatter plots of {column.metric.display} over each cost")


def _marker(colour: str, shape: str, label: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, marker=shape, linestyle="", label=label, markersize=5)


def _pareto_panel(
    axes: Any, rows: list[Row], points: list[tuple[float, float]], palette: dict[str, str], sign: int
) -> None:
    for row, (x, y) in zip(rows, points, strict=True):
        shape, colour = ("s", BASELINE) if row.single_task else ("o", palette[row.model])
        axes.plot(
            [x], [y], shape, color=colour, markersize=5.2, alpha=0.85, markeredgecolor="white", markeredgewidth=0.6
        )
    if points:
        front = pareto([x for x, _ in points], [sign * y for _, y in points])
        axes.plot(*zip(*[points[i] for i in front], strict=True), color="#8A9099", linewidth=0.9, zorder=0)
        axes.set_xscale("log")
        axes.margins(y=0.14)
        _label_front(axes, rows, points, front)
    plain_ticks(axes, [x for x, _ in points])
    tidy(axes, "both")


def _label_front(axes: Any, rows: list[Row], points: list[tuple[float, float]], front: list[int]) -> None:
    """Name the ends of the front and its best point; names of the whole front would overlap."""
    for i in {front[0], front[-1]}:
        costs = [x for x, _ in points]
        right = points[i][0] > np.sqrt(min(costs) * max(costs))  # the middle of a logarithmic axis
        axes.annotate(
            rows[i].label, points[i], xytext=(-5 if right else 5, 5), textcoords="offset points", fontsize=7,
            ha="right" if right else "left", color="#3A4048",
        )  # fmt: skip


def plain_ticks(axes: Any, values: list[float]) -> None:
    """A few round numbers instead of powers of ten."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if not values:
        return
    low, high = min(values), max(values)
    margin = max((high / low) ** 0.12, 1.12)
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9)):
        ticks = [m * 10.0**e for e in range(-4, 8) for m in steps if low / margin <= m * 10.0**e <= high * margin]
        if len(ticks) > 2:
            break
    axes.set_xlim(low / margin, high * margin)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def replacement(analysis: Analysis) -> pd.DataFrame:
    """For each row, its cost as a share of the single-task networks of its family (1 = the same); empty without them.

    Where the grid has none of its family, of the baseline's.
    """
    records = []
    for row in analysis.grid.rows:
        single = analysis.grid.single_task_row(row.model)
        if row.single_task or single is None:
            continue
        found, whole = cost(row), cost(single)
        shares = {
            name: value / one if (value := getattr(found, name)) and (one := getattr(whole, name)) else np.nan
            for name, _, _ in _AXES
        }
        records.append({"row": row.name, "model": row.model, "weighting": row.weighting, **shares})
    return pd.DataFrame(records)


def _which(analysis: Analysis) -> str:
    """Which single-task networks these are, where it is not the same answer for every row; "" elsewhere."""
    grid = analysis.grid
    if not grid.several_baselines:
        return ""
    singles = {row.family: row for row in grid.rows if row.single_task}
    lone = dict.fromkeys(grid.titles[row.model] for row in grid.rows if row.family not in singles)
    rest = f"; {grid.baseline.label} for {', '.join(lone)}, whose family has none" if lone and grid.baseline else ""
    return f", those of its own family{rest}"


def replacement_figure(analysis: Analysis, folder: Path) -> Picture | None:
    """Bars per model: cost relative to the single-task networks together, mean over weightings."""
    table = replacement(analysis)
    names = [name for name, _, _ in _AXES if name in table and table[name].notna().any()]
    if not names:
        return None
    means = table.groupby("model", sort=False)[names].mean()
    titles = {
        "parameters": "parameters",
        "flops": "FLOPs",
        "seconds_per_epoch": "training time",
        "inference_seconds": "inference time",
    }
    with styled():
        figure = new_figure(WIDTH, 0.3 * len(means) + 1.0)
        panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
        for axes, name in zip(panels, names, strict=True):
            axes.barh(range(len(means)), means[name], color=COLOURS[0], alpha=0.85, height=0.62)
            spread = table.groupby("model", sort=False)[name]
            ends = np.array([spread.min(), spread.max()])
            axes.hlines(range(len(means)), *ends, color=BASELINE, linewidth=1.2)
            axes.axvline(1, color=BASELINE, linewidth=1, linestyle=(0, (3, 2)))
            axes.set_title(titles[name])
            axes.set_xlabel("× single-task")
            axes.set_xlim(0, max(1.25, float(np.nanmax(ends)) * 1.1))
            tidy(axes, "x")
            axes.tick_params(axis="y", length=0)
        panels[0].set_yticks(range(len(means)), [analysis.grid.titles[model] for model in means.index])
        panels[0].set_ylim(len(means) - 0.5, -0.5)
        caption = (
            "What one multi-task network costs relative to the single-task networks that it replaces"
            f"{_which(analysis)} (dashed line: the same). Bars: mean over weightings; lines: from the cheapest to the "
            "dearest weighting."
        )
        return save(figure, folder, "replacement", caption, "Bars of cost for every model beside a line at 1")
