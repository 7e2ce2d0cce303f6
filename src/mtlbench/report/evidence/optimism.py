"""By how much a choice of the epoch on the test set flatters, metric by metric, from the curves of history.csv."""

import numpy as np
import pandas as pd

from mtlbench.metrics.delta_m import relative_gain
from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.rows.cells import LoadedCell
from mtlbench.report.rows.grid import Column, Grid, Row


def one_epoch(analysis: Analysis) -> pd.DataFrame:
    """Rows (labels) by columns (names): gain over what is reported, in percent, at each network's best test epoch.

    That epoch has the largest mean gain of the network's primary metrics; the mean over seeds is shown. NaN where a
    metric or its curve is missing; no line for a row that lacks test curves of a seed.
    """
    return _table(analysis, own=False)


def own_epochs(analysis: Analysis) -> pd.DataFrame:
    """The same with every metric at its own best test epoch, as where only the best of each column is reported."""
    return _table(analysis, own=True)


def _table(analysis: Analysis, own: bool) -> pd.DataFrame:
    grid = analysis.grid
    records = {}
    for row in grid.rows:
        found = [_seed(grid, row, seed, own) for seed in row.seeds]
        if found and all(found):
            records[row.label] = pd.DataFrame(found).mean()
    table = pd.DataFrame.from_dict(records, orient="index")
    return table.reindex(columns=[column.name for column in grid.columns]) if len(table) else table


def _seed(grid: Grid, row: Row, seed: int, own: bool) -> dict[str, float]:
    """{column name: gain} of all networks of one seed; {} when a network has no test curves."""
    found: dict[str, float] = {}
    for cell in (cell for cell in row.done if cell.cell.seed == seed):
        columns = [column for column in grid.columns if column.task in cell.cell.tasks]
        gains = _gains(cell, columns)
        if not len(gains) or not np.isfinite(gains).any():
            return {}
        primary = pd.DataFrame(gains[:, [column.metric.primary for column in columns]]).mean(axis=1)
        best = pd.DataFrame(gains).max() if own else pd.Series(gains[int(primary.fillna(-np.inf).argmax())])
        found |= {column.name: float(value) for column, value in zip(columns, best, strict=True)}
    return found


def _gains(cell: LoadedCell, columns: list[Column]) -> np.ndarray:
    """Gain (epochs, columns) of every epoch over what is reported; NaN where it is not defined."""
    history, reported = cell.history, cell.metrics["reported"]
    found = []
    for column in columns:
        name = f"test_{column.task}_{column.metric.name}"
        curve = history[name].to_numpy(float) if name in history else np.full(len(history), np.nan)
        value = reported.get(column.task, {}).get(column.metric.name, np.nan)
        found.append(relative_gain(curve, value, column.metric))
    return np.stack(found, axis=1)
