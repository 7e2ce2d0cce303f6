"""The gain of every row over the single-task networks, metric by metric: what Delta_m averages and so hides."""

from dataclasses import dataclass

import numpy as np

from mtlbench.metrics.delta_m import relative_gain
from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.statistics import LEVEL
from mtlbench.report.rows.grid import Grid, Row


@dataclass(frozen=True)
class Gains:
    """``mean`` (rows, metrics) in percent, positive is better, NaN where undefined; ``p_value`` the same shape.

    The p-values compare the row with the baseline in this metric, by Holm's procedure over the rows of the metric.
    """

    rows: tuple[Row, ...]
    mean: np.ndarray
    p_value: np.ndarray

    @property
    def established(self) -> np.ndarray:
        """Where the difference from the baseline survives the correction (rows, metrics)."""
        return self.p_value < 1 - LEVEL


def per_seed(grid: Grid, row: Row) -> np.ndarray:
    """Gains (seeds, metrics) in percent over the baseline's mean, positive is better; NaN where undefined."""
    baseline = grid.baseline_values()
    found = [
        relative_gain(grid.reported[row.slug][c.name], baseline.get(c.task, {}).get(c.metric.name, np.nan), c.metric)
        for c in grid.counted
    ]
    return np.stack(found, axis=1)


def gains(analysis: Analysis) -> Gains:
    """All rows with numbers but the baseline, best first; empty without a baseline."""
    grid = analysis.grid
    rows = tuple(row for row in analysis.ranking if row is not grid.baseline) if analysis.has_baseline else ()
    shape = (len(rows), len(grid.counted))
    means = np.array([per_seed(grid, row).mean(0) for row in rows]).reshape(shape)
    p_values = np.array([[against_baseline(analysis, row, c.name) for c in grid.counted] for row in rows])
    return Gains(rows, means, p_values.reshape(shape))


def against_baseline(analysis: Analysis, row: Row, column: str) -> float:
    """The p-value of a row against the baseline in a column, corrected for the rows alone; NaN when not tested."""
    tests = analysis.pairs[column]
    return float(tests.against_baseline[tests.slugs.index(row.slug)]) if row.slug in tests.slugs else float("nan")
