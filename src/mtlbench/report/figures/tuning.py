"""The trials of a search: how much tuning buys, and how much the learning rate matters."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator, NullFormatter

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.tuning import RATE, Tuned, expected_best
from mtlbench.report.figures.style import QUIET, WIDTH, Picture, keep_first, new_figure, save, styled, tidy
from mtlbench.report.rows.text import number
from mtlbench.system.colours import COLOURS

#: Panels of the small multiples.
MOST_PANELS = 24
_SCORE = "held-out score [%]"
_MARK = "Grey triangles: trials that were stopped early, with the score that they had by then."
_BOUND = (
    "Trials that were stopped early count with the score that they had by then, so the lines are rather too low for a "
    "search that stops none."
)


def multi_task(analysis: Analysis) -> list[Tuned]:
    """The rows of the search that have a number and are judged by all tasks, best first."""
    rows = [row for row in analysis.tuned if not row.single_task and np.isfinite(row.scores).any()]
    return sorted(rows, key=lambda row: -float(np.nanmax(row.scores)))


def best_of_trials(analysis: Analysis, folder: Path) -> Picture | None:
    """Expected best score over the number of trials."""
    rows = multi_task(analysis)
    if not rows or len(rows[0].scores) < 2:
        return None
    with styled():
        figure = new_figure(WIDTH, 3.6)
        axes = figure.subplots()
        for place, row in reversed(list(enumerate(rows))):
            named = place < len(COLOURS)
            look: dict[str, Any] = {"color": COLOURS[place] if named else QUIET, "zorder": 2 + named}
            look["linewidth"] = 1.2 + 0.5 * place if named else 0.8  # equal lines all stay in sight
            axes.plot(range(1, len(row.scores) + 1), expected_best(row.scores), "o-", markersize=3, **look,
                      label=row.title if named else None)  # fmt: skip
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles[::-1], labels[::-1], loc="outside right upper")
        axes.set_xlabel("trials")
        axes.set_ylabel(f"expected best {_SCORE}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        tidy(axes)
        caption = (
            "Expected best score of k of the trials (Dodge et al. 2019): what a search with fewer trials would have "
            "reached. Score: mean relative gain of the tasks' primary metrics over the baseline's chosen trials on the "
            "held-out images. A trial that diverged counts as tried, as bad as the row's worst. Lines that cross mean "
            f"that the order depends on how much was tuned.{_early(rows, _BOUND)}{_others(rows, len(COLOURS), 'Grey')}"
        )
        values = "; ".join(f"{row.title} {number(expected_best(row.scores)[-1], 1)} %" for row in rows)
        return save(figure, folder, "search_best", caption, f"Rising lines over the trials, ending at: {values}")


def rates(analysis: Analysis, folder: Path) -> Picture | None:
    """Small multiples: score over the learning rate, a panel for each row."""
    rows = [row for row in multi_task(analysis) if RATE in row.settings[0]][:MOST_PANELS]
    if not rows:
        return None
    with styled():
        columns = min(4, len(rows))
        lines = -(-len(rows) // columns)
        figure = new_figure(WIDTH if columns > 2 else 2.6 * columns + 1.4, 1.8 * lines + 0.6)
        panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
        for axes, row in zip(panels.flat, rows, strict=False):
            _rate_panel(axes, row, row.title)
        keep_first(panels, len(rows))
        figure.supxlabel("learning rate", fontsize=8.5)
        figure.supylabel(_SCORE, fontsize=8.5)
        total = len([row for row in multi_task(analysis) if RATE in row.settings[0]])
        best = f" The best {len(rows)} of {total} rows." if total > len(rows) else ""
        caption = (
            "Score of every trial over its learning rate, best rows first, all on one scale; other options vary too. "
            "Filled: the chosen trial. Crosses at the lower edge: trials that diverged. A narrow peak is a method that "
            f"must be tuned.{_early(rows, _MARK)}{best}"
        )
        return save(figure, folder, "search_rates", caption, f"Scatter plots for {len(rows)} rows of a search")


def _rate_panel(axes: Any, row: Tuned, name: str) -> None:
    x = np.array([float(one[RATE]) for one in row.settings])
    known, early = np.isfinite(row.scores), np.isin(np.arange(len(x)), list(row.stopped))
    axes.plot(x[early], row.scores[early], "v", color=QUIET, markersize=4.5)
    whole = known & ~early
    axes.plot(x[whole], row.scores[whole], "o", color=COLOURS[0], markerfacecolor="white", markersize=4.5)
    if row.chosen is not None:
        axes.plot([x[row.chosen]], [row.scores[row.chosen]], "o", color=COLOURS[0], markersize=5.5)
    axes.plot(x[~known], np.full((~known).sum(), 0.03), "x", color=COLOURS[1], transform=axes.get_xaxis_transform())
    axes.set_xscale("log")
    axes.set_xlim(10 ** np.floor(np.log10(x.min()) - 0.01), 10 ** np.ceil(np.log10(x.max()) + 0.01))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title(textwrap.fill(name, 24), fontsize=8)
    tidy(axes, "both")


def _early(rows: list[Tuned], text: str) -> str:
    return f" {text}" if any(row.stopped for row in rows) else ""


def _others(rows: list[Tuned], named: int, how: str) -> str:
    return f" {how}: the other {len(rows) - named} rows." if len(rows) > named else ""
