"""Interquartile means and performance profiles of the gains over single-task networks."""

from pathlib import Path
from typing import Any

import numpy as np

from mtlbench.report.evidence.aggregate import interquartile_tests, profile, profile_band, rows_with_gains
from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.gains import per_seed
from mtlbench.report.evidence.pairs import PairTests
from mtlbench.report.figures.style import QUIET, WIDTH, Picture, new_figure, save, styled, tidy, wrapped
from mtlbench.report.rows.grid import Row
from mtlbench.report.rows.text import number
from mtlbench.system.colours import COLOURS

#: Rows with an interquartile mean, and those of them with a profile, whose colours and bands can be told apart.
MOST_MEANS, MOST_PROFILES = 16, 4
#: Numbers at which a profile is computed.
POINTS = 160


def aggregates(analysis: Analysis, folder: Path) -> Picture | None:
    """Left the interquartile mean of every row with its interval, right the profiles of the best rows."""
    tests = interquartile_tests(analysis)
    if tests is None:
        return None
    rows = sorted(rows_with_gains(analysis), key=lambda row: -tests.intervals(row.slug).mean)[:MOST_MEANS]
    colours = [COLOURS[i] if i < MOST_PROFILES else QUIET for i in range(len(rows))]
    with styled():
        figure = new_figure(WIDTH, max(3.2, 0.27 * len(rows) + 1.0))
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.15])
        _means(left, tests, rows, colours)
        _profiles(right, analysis, rows[:MOST_PROFILES], colours)
        values = "; ".join(f"{row.label} {number(tests.intervals(row.slug).mean, 1)} %" for row in rows)
        alt = f"Left a line for each row, right falling curves; interquartile means: {values}"
        return save(figure, folder, "profiles", _caption(analysis, len(rows)), alt)


def _means(axes: Any, tests: PairTests, rows: list[Row], colours: list[str]) -> None:
    for line, (row, colour) in enumerate(zip(rows, colours, strict=True)):
        found = tests.intervals(row.slug)
        ends = found.both if np.isfinite(found.both[0]) else found.images
        axes.plot(ends, [line, line], color=colour, linewidth=1.6)
        axes.plot([found.mean], [line], "o", color=colour, markersize=5.5)
    axes.axvline(0, color="#8A9099", linewidth=0.9, zorder=0)
    axes.set_yticks(range(len(rows)), wrapped(row.label for row in rows))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("interquartile mean of the gains [%]")
    tidy(axes, "x")
    axes.tick_params(axis="y", length=0)


def _profiles(axes: Any, analysis: Analysis, rows: list[Row], colours: list[str]) -> None:
    gains = [per_seed(analysis.grid, row) for row in rows]
    low, high = min(one.min() for one in gains), max(one.max() for one in gains)
    margin = 0.08 * (high - low) + 0.5
    at = np.linspace(low - margin, high + margin, POINTS)
    for row, one, colour in zip(rows, gains, colours, strict=False):
        axes.fill_between(at, *(100 * end for end in profile_band(analysis, row, at)), color=colour, alpha=0.12, lw=0)
        axes.plot(at, 100 * profile(one, at), color=colour, label=row.label)
    axes.axvline(0, color="#8A9099", linewidth=0.9, zorder=0)
    axes.set_xlim(at[0], at[-1])
    axes.set_ylim(-2, 102)
    axes.set_xlabel("gain over single-task networks [%]")
    axes.set_ylabel("share of (seed, metric) above [%]")
    tidy(axes, "both")


def _caption(analysis: Analysis, shown: int) -> str:
    total = len(rows_with_gains(analysis))
    which = f"the best {shown} of {total} rows" if shown < total else "every row"
    coloured = f"of the {min(MOST_PROFILES, shown)} best rows, in the colours of their dots" if shown > 1 else "of it"
    few = "" if analysis.seeds > 4 else f" {analysis.seeds} seeds give bands that are too narrow."
    return (
        f"The gains of all metrics over single-task networks, pooled over seeds and metrics (Agarwal et al. 2021). "
        f"Left: the interquartile mean of {which} (dot), the mean of the middle half, which one extreme metric does "
        "not move; line: 95 % interval by the t distribution, over seeds (the row's and the baseline's) and test "
        f"images. Right: performance profiles {coloured}: the share of (seed, metric) whose gain is above the number "
        "below; a curve further right is better. Bands: pointwise 95 % bootstrap intervals over whole seeds and "
        f"scenes.{few}"
    )
