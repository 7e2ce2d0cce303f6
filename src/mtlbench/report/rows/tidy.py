"""Tidy tables: one row per number (summary), and one per epoch and curve."""

from typing import Any

import numpy as np
import pandas as pd

from mtlbench.report.rows.grid import DELTA_COLUMNS, SINGLE, Grid, Row, mean, spread
from mtlbench.report.rows.score import SCORE, scores

_KEYS = ["experiment", "model", "weighting", "seed"]
#: At most this many epochs are kept in the table of curves and drawn in figures.
CURVE_POINTS = 60


def summary(grid: Grid) -> pd.DataFrame:
    """One row per cell seed, rule, task and metric, Delta_m and S included (task empty); missing cells have a reason.

    Columns: experiment, model, weighting, seed, rule (reported, last, mean_last_10, ...; held_out: on the held-out
    images, what a reader may choose by), task, metric, higher_is_better, value, reason.
    """
    records = []
    for row in grid.rows:
        for rule in rules(row):
            values = grid.per_seed(row, rule)
            for column in (*grid.columns, *DELTA_COLUMNS):
                for seed, value in zip(row.seeds, values[column.name], strict=True):
                    records.append(_record(grid, row, seed, rule, column.task, column.metric.name, value))
            for seed, value in zip(row.seeds, scores(grid, row, rule), strict=False):  # none where S is not defined
                records.append(_record(grid, row, seed, rule, "", SCORE, value))
        for cell in row.missing:
            for task in cell.cell.tasks:
                record = _record(grid, row, cell.cell.seed, "reported", task, "", np.nan)
                records.append({**record, "reason": cell.missing})
    names = [*_KEYS, "rule", "task", "metric", "higher_is_better", "value", "reason"]
    frame = pd.DataFrame(records, columns=names)
    directions = {(c.task, c.metric.name): c.metric.higher_is_better for c in (*grid.columns, *DELTA_COLUMNS)}
    directions["", SCORE] = True
    frame["higher_is_better"] = [directions.get(pair, "") for pair in zip(frame["task"], frame["metric"], strict=True)]
    return frame


def rules(row: Row) -> list[str]:
    """The rules of metrics.json that every finished cell of a row has, "reported" first."""
    found = [list(cell.metrics) for cell in row.done]
    common = [rule for rule in (found[0] if found else []) if all(rule in other for other in found)]
    return sorted(common, key=lambda rule: rule != "reported")


def curves(grid: Grid) -> pd.DataFrame:
    """Mean and standard deviation over seeds of the loss and the primary metric of every task, by epoch.

    Columns: row, model, weighting, epoch (from 1), split (train, val, test), task, quantity (loss or metric name),
    mean, std, n. At most ``CURVE_POINTS`` epochs, the last one among them.
    """
    records = []
    for row in grid.rows:
        for task_name, task in grid.tasks.items():
            for quantity in ("loss", *(metric.name for metric in task.metrics if metric.primary)):
                for split in ("train", "val", "test"):
                    table = curve(row, task_name, quantity, split).to_numpy(float)
                    for epoch in thinned(len(table)):
                        values = table[epoch][~np.isnan(table[epoch])]
                        if len(values):
                            records.append((row.name, row.model, row.weighting or SINGLE, epoch + 1, split, task_name,
                                            quantity, mean(values), spread(values), len(values)))  # fmt: skip
    names = ["row", "model", "weighting", "epoch", "split", "task", "quantity", "mean", "std", "n"]
    return pd.DataFrame(records, columns=names)


def curve(row: Row, task: str, quantity: str, split: str) -> pd.DataFrame:
    """Values by epoch (index) and seed (columns) of one quantity; empty when it was not recorded."""
    name = f"{split}_loss_{task}" if quantity == "loss" else f"{split}_{task}_{quantity}"
    found = {}
    for cell in row.done:
        if task in cell.cell.tasks and name in cell.history:
            found[cell.cell.seed] = cell.history[name]
    return pd.DataFrame(found)


def thinned(count: int) -> list[int]:
    """Positions of at most ``CURVE_POINTS`` of ``count`` epochs, evenly spaced, the last one included."""
    step = max(1, -(-count // CURVE_POINTS))
    return list(range((count - 1) % step, count, step)) if count else []


def _record(grid: Grid, row: Row, seed: int, rule: str, task: str, metric: str, value: float) -> dict[str, Any]:
    return {
        "experiment": grid.input.name,
        "model": row.model,
        "weighting": row.weighting or SINGLE,
        "seed": seed,
        "rule": rule,
        "task": task,
        "metric": metric,
        "value": value,
        "reason": "",
    }
