"""The comparisons of every row with the single-task networks alone: a smaller family than all pairs of rows."""

from dataclasses import dataclass

import numpy as np

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.gains import against_baseline
from mtlbench.report.evidence.statistics import LEVEL
from mtlbench.report.rows.grid import Column, Row
from mtlbench.report.rows.text import DASH, number


@dataclass(frozen=True)
class Comparison:
    """One row and column: difference from the baseline and corrected p-value as text, and whether it survives."""

    difference: str
    p_value: str
    survives: bool


@dataclass(frozen=True)
class Family:
    """All rows but the baseline, best first, against it in Delta_m and the primary metrics."""

    columns: tuple[Column, ...]
    lines: tuple[tuple[Row, tuple[Comparison, ...]], ...]

    def survivors(self, place: int) -> int:
        """How many rows differ from the baseline in a column."""
        return sum(cells[place].survives for _, cells in self.lines)


def family(analysis: Analysis) -> Family:
    """The family of the report; without lines where there is no baseline or nothing can be tested."""
    columns = tuple(c for c in analysis.columns if c.metric.primary)
    if not analysis.has_baseline:
        return Family(columns, ())
    rows = [row for row in analysis.ranking if row is not analysis.grid.baseline]
    lines = tuple((row, tuple(_compare(analysis, row, column) for column in columns)) for row in rows)
    known = any(cell.p_value != DASH for _, cells in lines for cell in cells)
    return Family(columns, lines if known else ())


def _compare(analysis: Analysis, row: Row, column: Column) -> Comparison:
    tests, baseline = analysis.pairs[column.name], analysis.grid.baseline
    if baseline is None or row.slug not in tests.slugs or baseline.slug not in tests.slugs:
        return Comparison(DASH, DASH, False)
    value = float(tests.difference[tests.slugs.index(row.slug), tests.slugs.index(baseline.slug)])
    text = number(value * column.metric.scale, column.metric.decimals)
    p_value = against_baseline(analysis, row, column.name)
    sign = "+" if value > 0 and text.strip("0.") else ""  # +0.00 says nothing
    return Comparison(sign + text, p_text(p_value), p_value < 1 - LEVEL)


def p_text(p_value: float) -> str:
    """A p-value with the two digits that 1000 draws of images support; a dash for NaN."""
    if np.isnan(p_value):
        return DASH
    return "< 0.001" if p_value < 1e-3 else f"{p_value:.2g}"
