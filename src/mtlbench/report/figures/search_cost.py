"""Quality against hours with the search included: what a row reached, and what it cost to find its setting."""

from pathlib import Path
from typing import Any

import numpy as np

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.comparisons import main_column
from mtlbench.report.evidence.search_cost import SearchCost, search_costs
from mtlbench.report.figures.style import (
    BASELINE,
    QUIET,
    WIDTH,
    Picture,
    legend_above,
    new_figure,
    save,
    styled,
    tidy,
)
from mtlbench.report.figures.tradeoffs import plain_ticks
from mtlbench.report.rows.grid import mean
from mtlbench.report.rows.text import number
from mtlbench.system.colours import COLOURS


def search_cost(analysis: Analysis, folder: Path) -> Picture | None:
    """Left: expected best held-out score over hours of trials; right: the main column over all hours."""
    rows = [one for one in search_costs(analysis) if np.isfinite(one.trials) and one.trials > 0]
    if not rows:
        return None
    rows.sort(key=lambda one: -float(one.best[-1]) if np.isfinite(one.best[-1]) else np.inf)
    looks = _looks(rows)
    with styled():
        figure = new_figure(WIDTH, 3.9)
        left, right = figure.subplots(1, 2)
        handles = []
        for one in reversed(rows):
            look = looks[one.row.slug]
            (line,) = left.plot(one.hours, one.best, "o-", markersize=3, linewidth=1.3, label=one.row.label, **look)
            if look["color"] != QUIET:
                handles.append(line)
        column = main_column(analysis.grid)
        for one in rows:
            value = mean(analysis.grid.reported[one.row.slug][column.name]) * column.metric.scale
            shape = "s" if one.row.single_task else "o"
            right.plot([one.total], [value], shape, markersize=6, markeredgecolor="white", **looks[one.row.slug])
        left.set_xlabel("hours of trials")
        left.set_ylabel("expected best held-out score [%]")
        right.set_xlabel("hours of trials and final runs")
        right.set_ylabel(
            f"{column.metric.display} of the final runs" + f" [{column.metric.unit}]" * bool(column.metric.unit)
        )
        for axes in (left, right):
            axes.set_xscale("log")
            tidy(axes, "both")
        plain_ticks(left, [float(hours) for one in rows for hours in one.hours])
        plain_ticks(right, [one.total for one in rows if np.isfinite(one.total)])
        legend_above(figure, handles[::-1])
        alt = "Rising lines and points over hours: " + "; ".join(
            f"{one.row.label} {number(one.total, 2)} h" for one in rows
        )
        return save(figure, folder, "search_cost", _caption(rows, len(handles)), alt)


def _looks(rows: list[SearchCost]) -> dict[str, dict[str, Any]]:
    """Colours by row: the baseline dark, the best others in colours, the rest grey and behind."""
    others = [one.row.slug for one in rows if not one.row.single_task]
    looks: dict[str, dict[str, Any]] = {
        slug: {"color": COLOURS[at] if at < len(COLOURS) else QUIET, "zorder": 2 + (at < len(COLOURS))}
        for at, slug in enumerate(others)
    }
    return looks | {one.row.slug: {"color": BASELINE, "zorder": 4} for one in rows if one.row.single_task}


def _caption(rows: list[SearchCost], named: int) -> str:
    devices = sorted({device for one in rows for device in _devices(one)})
    grey = f" Grey: the other {len(rows) - named} rows." if len(rows) > named else ""
    where = ", ".join(devices) or "an unknown device"
    early = (
        " Trials that were stopped early count with what they took and the score that they had by then, rather too low."
        if any(one.stopped for one in rows) else ""
    )  # fmt: skip
    return (
        "Quality against hours, the search included. Left: the expected best held-out score of 1, 2, ... trials over "
        "what as many trials take on average. Right: the final runs on the test images over the hours of all trials "
        "and final runs of the row; squares: single-task networks. A single-task row adds up its networks, and its "
        "score is the mean over them. Trials that diverged count; a row of frozen mean weights also needs the runs "
        f"whose means it takes, which are not counted. Hours of wall clock on {where}: they depend on what else it "
        f"did. Logarithmic axes of hours.{early}{grey}"
    )


def _devices(one: SearchCost) -> list[str]:
    return [str(cell.facts["device"]) for cell in one.row.done if cell.facts.get("device")]
