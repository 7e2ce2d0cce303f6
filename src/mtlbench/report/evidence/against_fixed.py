"""Weighting methods against fixed weights of the same network: a family of comparisons of its own."""

from dataclasses import dataclass

import numpy as np

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.comparisons import main_column
from mtlbench.report.evidence.power import detectable
from mtlbench.report.evidence.statistics import LEVEL, holm, interval
from mtlbench.report.evidence.tuning import STATIC, fixed_weights
from mtlbench.report.rows.grid import Row

#: The entry whose weights are all 1; with ``static`` it is no method, but fixed weights.
EQUAL = "equal"


@dataclass(frozen=True)
class Against:
    """A row minus the fixed weights of its model in the main column: difference, its 95 % interval, p by Holm's
    procedure over the family; NaN where nothing can be tested."""

    row: Row
    difference: float
    interval: tuple[float, float]
    p_value: float

    @property
    def established(self) -> bool:
        """Whether the difference survives the correction for the family."""
        return self.p_value < 1 - LEVEL

    @property
    def holds_zero(self) -> bool:
        """Whether the interval, which is not corrected, holds 0: then it is not established either."""
        return self.interval[0] <= 0 <= self.interval[1]


def references(analysis: Analysis) -> dict[str, Row]:
    """{model: its fixed weights}: the searched ones where there is a search, else equal weights."""
    searched = analysis.grid.input.searched
    found: dict[str, Row] = {}
    for row in analysis.grid.rows:
        if not row.single_task and (fixed_weights(row) if searched else row.weighting_kind == EQUAL):
            found.setdefault(row.model, row)
    return found


def methods(analysis: Analysis) -> list[Row]:
    """The rows whose weights are not fixed, of models with a reference."""
    known = references(analysis)
    return [
        row for row in analysis.grid.rows
        if not row.single_task and row.model in known and row.weighting_kind not in (STATIC, EQUAL)
    ]  # fmt: skip


def against_fixed(analysis: Analysis) -> list[Against]:
    """Every method with numbers whose reference has numbers, in the order of the grid, from the tests of all pairs."""
    tests = analysis.pairs[main_column(analysis.grid).name]
    pairs = _pairs(analysis)
    adjusted = holm(np.array([tests.p_value[at] for _, at in pairs]))
    found = []
    for (row, at), p_value in zip(pairs, adjusted, strict=True):
        error, difference = tests.error, float(tests.difference[at])
        ends = interval(difference, float(error.variance[at]), float(error.freedom[at]))
        found.append(Against(row, difference, ends, float(p_value)))
    return found


def visible(analysis: Analysis) -> float:
    """The true difference that these seeds mostly establish in this family; NaN where that is not known."""
    tests = analysis.pairs[main_column(analysis.grid).name]
    among = np.zeros(tests.p_value.shape, bool)
    for _, at in _pairs(analysis):
        among[at] = among[at[::-1]] = True
    return detectable(tests, analysis.seeds, analysis.seeds, among)


def _pairs(analysis: Analysis) -> list[tuple[Row, tuple[int, int]]]:
    """(row, place of the row and of its reference in the tests)."""
    slugs, known = analysis.pairs[main_column(analysis.grid).name].slugs, references(analysis)
    return [
        (row, (slugs.index(row.slug), slugs.index(known[row.model].slug)))
        for row in methods(analysis)
        if row.slug in slugs and known[row.model].slug in slugs
    ]
