"""What choosing the epoch on the test set would show, metric by metric."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.optimism import one_epoch, own_epochs
from mtlbench.report.rows.cells import LoadedCell
from mtlbench.report.rows.grid import Row


def with_histories(analysis: Analysis, change: Callable[[LoadedCell, pd.DataFrame], pd.DataFrame]) -> Analysis:
    """The same cells with other curves."""

    def other(cell: LoadedCell) -> LoadedCell:
        new = replace(cell)
        new.__dict__["history"] = change(cell, cell.history.copy())
        return new

    rows = tuple(Row(row.model, row.weighting, tuple(map(other, row.cells))) for row in analysis.grid.rows)
    return Analysis(replace(analysis.grid, rows=rows), analysis.evidence)


def flat(cell: LoadedCell, history: pd.DataFrame) -> pd.DataFrame:
    """Curves that stay at what is reported."""
    for task, values in cell.metrics["reported"].items():
        for name, value in values.items():
            history[f"test_{task}_{name}"] = value
    return history


def test_one_epoch_is_chosen_by_primary_metrics_not_by_losses(analysis: Analysis) -> None:
    def change(cell: LoadedCell, history: pd.DataFrame) -> pd.DataFrame:
        history = flat(cell, history)
        if "depth" in cell.cell.tasks:
            history.loc[4, "test_depth_abs_error"] *= 0.8  # the primary metric, 20 % better
            history.loc[4, "test_depth_rel_error"] *= 1.5
            history.loc[7, "test_depth_rel_error"] *= 0.1  # not primary
            history.loc[9, "test_loss_depth"] = -100.0
        return history

    changed = with_histories(analysis, change)
    found, own = one_epoch(changed), own_epochs(changed)
    assert list(found.index) == [row.label for row in analysis.grid.rows]
    assert list(found.columns) == [column.name for column in analysis.grid.columns]
    assert found["depth_abs_error"].to_numpy() == pytest.approx(20)
    assert found["depth_rel_error"].to_numpy() == pytest.approx(-50)
    assert own["depth_abs_error"].to_numpy() == pytest.approx(20)
    assert own["depth_rel_error"].to_numpy() == pytest.approx(90)
    others = found.drop(columns=["depth_abs_error", "depth_rel_error"])
    assert others.to_numpy() == pytest.approx(np.zeros(others.shape), abs=1e-9)


def test_own_epochs_are_never_below_the_one(analysis: Analysis) -> None:
    assert (own_epochs(analysis) >= one_epoch(analysis) - 1e-9).all(axis=None)


def test_without_test_curves_there_is_no_table(analysis: Analysis) -> None:
    def held_out(_: LoadedCell, history: pd.DataFrame) -> pd.DataFrame:
        return history.rename(columns=lambda name: name.replace("test_", "val_"))

    assert one_epoch(with_histories(analysis, held_out)).empty
    assert own_epochs(with_histories(analysis, lambda *_: pd.DataFrame())).empty
