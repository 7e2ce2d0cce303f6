"""Two sentences at the top of the page: what is and what is not established, from the tests that the page shows."""

from collections.abc import Sequence

import numpy as np

from mtlbench.report.evidence.against_fixed import Against, against_fixed, methods, references, visible
from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.comparisons import main_column
from mtlbench.report.evidence.power import POWER
from mtlbench.report.evidence.statistics import LEVEL
from mtlbench.report.rows.grid import Row, mean
from mtlbench.report.rows.text import number
from mtlbench.system.words import be, many

_UNDEFINED = "Δm against single-task networks is not defined"
#: Rows that are named one by one; the others are counted.
_NAMED = 3


def verdict(analysis: Analysis) -> tuple[str, str]:
    """(whether learning the tasks together helped, whether a weighting beats fixed weights)."""
    return _together(analysis) + _other_families(analysis), _weightings(analysis)


def _together(analysis: Analysis) -> str:
    """Multi-task rows against the single-task networks in Delta_m, by the tests of that family (Holm, 5 %)."""
    column, baseline = main_column(analysis.grid), analysis.grid.baseline
    wanted = [row for row in analysis.grid.rows if not row.single_task]
    if not wanted:
        return "Only single-task networks were trained, so nothing is said about learning the tasks together."
    if column.task or baseline is None:
        return f"Whether learning the tasks together helped cannot be said: {_UNDEFINED}."
    tests = analysis.pairs[column.name]
    ranked = [row for row in analysis.ranking if not row.single_task]
    rows = [row for row in ranked if row.slug in tests.slugs]
    if not rows:
        why = "no multi-task row has results of single images" if ranked else "no multi-task row has numbers"
        return f"Whether learning the tasks together helped is not known: {why}."
    p_values = np.array([tests.against_baseline[tests.slugs.index(row.slug)] for row in rows])
    gains = np.array([_delta(analysis, row) for row in rows])
    if np.isnan(p_values).all():
        best = f"(highest: {rows[0].label}, Δm {_signed(gains[0])})"
        return f"{_seeds(analysis)} cannot show whether learning the tasks together helped {best}."
    absent = len(wanted) - len(rows)
    left_out = f"; {many(absent, 'row')} without numbers {be(absent)} left out" if absent else ""
    return _against_baseline(analysis, rows, gains, p_values < 1 - LEVEL) + f"{left_out}."


def _other_families(analysis: Analysis) -> str:
    """That Delta_m compares with the networks of one family, where rows of several stand in the table; "" elsewhere."""
    baseline, rows = analysis.grid.baseline, analysis.grid.rows
    if baseline is None or main_column(analysis.grid).task or sum(row.single_task for row in rows) in (1, len(rows)):
        return ""
    return f" Δm is over {baseline.label} for every row, so of another family it shows its network too."


def _against_baseline(analysis: Analysis, rows: Sequence[Row], gains: np.ndarray, sure: np.ndarray) -> str:
    better, worse = sure & (gains > 0), sure & (gains < 0)
    count, harmed, total = int(better.sum()), int(worse.sum()), len(rows)
    marks = _stricter_marks(analysis, rows, sure)
    if count:
        best = rows[int(np.flatnonzero(better)[0])]
        also = f"; {harmed} {be(harmed)} worse" if harmed else ""
        return (
            f"{count} of {total} multi-task rows {be(count)} better than the single-task networks (best of these: "
            f"{_with_interval(analysis, best)}){also}{marks}"
        )
    if harmed == total:
        few = {1: "the one multi-task row is", 2: "both multi-task rows are"}
        which = few.get(total, f"all {total} multi-task rows are")
        return (
            f"Learning the tasks together did harm here: {which} worse than the single-task networks (highest: "
            f"{_with_interval(analysis, rows[0])}){marks}"
        )
    low, high = analysis.pairs[main_column(analysis.grid).name].intervals(rows[0].slug).both
    open_ = f", without 0, but not after the correction for {total} rows"
    alone = open_ if not (sure[0] or low <= 0 <= high) else ""
    harm = f"{harmed} of {total} {be(harmed)} worse" if harmed else "none is shown to be worse either"
    return (
        "No multi-task row is shown to be better than the single-task networks (highest: "
        f"{_with_interval(analysis, rows[0])}{alone}); {harm}{marks}"
    )


def _stricter_marks(analysis: Analysis, rows: Sequence[Row], sure: np.ndarray) -> str:
    """Where the table's marks, corrected for all pairs, tell fewer rows from the baseline than their own family."""
    tests, baseline = analysis.pairs[main_column(analysis.grid).name], analysis.grid.baseline
    if baseline is None:
        return ""
    fewer = any(one and not tests.significant(row.slug, baseline.slug) for row, one in zip(rows, sure, strict=True))
    text = f"; this corrects for {len(rows)} comparisons, the marks of the table for all pairs of rows"
    return text if fewer else ""


def _with_interval(analysis: Analysis, row: Row) -> str:
    low, high = analysis.pairs[main_column(analysis.grid).name].intervals(row.slug).both
    return f"{row.label}, Δm {_signed(_delta(analysis, row))}, {_interval(low, high)}"


def _weightings(analysis: Analysis) -> str:
    """Weighting methods against tuned static weights; without a search against equal weights."""
    if analysis.grid.input.searched:
        return f"{_searched(analysis)}."
    several = len({row.weighting for row in analysis.grid.rows if not row.single_task}) > 1
    caution = (
        "methods were not tuned equally (there was no search), so a difference between "
        f"{'weightings' if several else 'rows'} may be one of their settings"
    )
    if not references(analysis) or not methods(analysis):
        return f"The {caution}."
    return f"{_compared(analysis, 'equal weights')}; and the {caution}."


def _searched(analysis: Analysis) -> str:
    against = "tuned static weights"
    if not references(analysis):
        return f"No static weights were tuned, so whether any weighting beats {against} is not answered here"
    if not methods(analysis):
        return f"No weighting method stands beside {against}, so whether one beats them is not answered here"
    return _compared(analysis, against)


def _compared(analysis: Analysis, against: str) -> str:
    """The family in words; ``against`` names the fixed weights."""
    question = f"Whether any weighting beats {against}"
    if main_column(analysis.grid).task:
        return f"{question} cannot be said: {_UNDEFINED}"
    found = against_fixed(analysis)
    if not found:
        return f"{question} is not known: no weighting has numbers beside theirs"
    if all(np.isnan(one.p_value) for one in found):
        return f"{question} cannot be said: {_seeds(analysis).lower()} cannot show it"
    absent = len(methods(analysis)) - len(found)
    left_out = f"; {many(absent, 'row')} cannot be compared" if absent else ""
    better = [one for one in found if one.established and one.difference > 0]
    worse = [one for one in found if one.established and one.difference < 0]
    return (_beaten if better else _open)(analysis, found, against, better, worse) + left_out


def _beaten(
    analysis: Analysis, found: list[Against], against: str, better: list[Against], worse: list[Against]
) -> str:  # fmt: skip
    order = sorted(better, key=lambda one: -one.difference)
    named = "; ".join(
        f"{one.row.label} by {_signed(one.difference)}, {_interval(*one.interval)}" for one in order[:_NAMED]
    )
    more = f"; and {len(order) - _NAMED} more" if len(order) > _NAMED else ""
    text = f"{len(better)} of {len(found)} weightings {_verb(len(better), 'beat')} {against} of the same network"
    harm = f"; {len(worse)} {be(len(worse))} worse" if worse else ""
    rest = len(found) - len(better) - len(worse)
    return f"{text} ({named}{more}){harm}" + (f"; for the other {rest} neither is established" if rest else "")


def _open(
    analysis: Analysis, found: list[Against], against: str, better: list[Against], worse: list[Against]
) -> str:  # fmt: skip
    total, harmed, holding = len(found), len(worse), sum(one.holds_zero for one in found)
    beyond = total - holding - harmed
    if total == 1:
        parts = ["the 95 % interval of the one difference holds 0" if holding else "the one compared is worse"]
    else:
        parts = [
            f"{holding} of {total} intervals (95 %) of the differences {_verb(holding, 'hold')} 0" if holding else "",
            f"{harmed} of {total} {be(harmed)} worse" if harmed else "",
            f"{beyond} {_verb(beyond, 'leave')} out 0, but not after the correction for {total}" if beyond else "",
        ]
    text = f"Whether any weighting beats {against} of the same network is not established: "
    return text + ", ".join(part for part in parts if part) + _power(analysis)


def _power(analysis: Analysis) -> str:
    size = visible(analysis)
    if not np.isfinite(size):
        return ""
    return (
        f"; {_seeds(analysis).lower()} would establish a true difference of {number(size, 1)} % in "
        f"{100 * POWER:.0f} % of repetitions, smaller ones less often"
    )


def _delta(analysis: Analysis, row: Row) -> float:
    return mean(analysis.grid.reported[row.slug][main_column(analysis.grid).name])


def _interval(low: float, high: float) -> str:
    return f"95 % interval [{number(low, 2)}, {number(high, 2)}]"


def _signed(value: float) -> str:
    text = number(value, 2)
    return f"{'+' if value > 0 and text.strip('0.') else ''}{text} %"


def _seeds(analysis: Analysis) -> str:
    return "One seed" if analysis.seeds < 2 else f"{analysis.seeds} seeds"


def _verb(count: int, verb: str) -> str:
    return f"{verb}s" if count == 1 else verb
