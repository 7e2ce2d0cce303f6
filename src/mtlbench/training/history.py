"""The record of a run: one row per epoch, and the numbers that are reported from it."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV text; floats in the shortest form that reads back to the same bits."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, lineterminator="\n", restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: repr(value) if isinstance(value, float) else value for name, value in row.items()})
    return buffer.getvalue()


def at_epoch(rows: Sequence[Mapping[str, Any]], epoch: int, split: str, metrics: Mapping[str, Sequence[str]]) -> dict:
    """{task: {metric: value}} of one epoch's row."""
    return {task: {m: rows[epoch][f"{split}_{task}_{m}"] for m in names} for task, names in metrics.items()}


def mean_of_last(
    rows: Sequence[Mapping[str, Any]], count: int, split: str, metrics: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, float]]:
    """{task: {metric: mean over the last ``count`` epochs}}; an epoch without any valid pixel (NaN) spreads."""
    last = rows[-count:]
    return {
        task: {m: math.fsum(row[f"{split}_{task}_{m}"] for row in last) / len(last) for m in names}
        for task, names in metrics.items()
    }


def best_epoch(rows: Sequence[Mapping[str, Any]], split: str, tasks: Sequence[str]) -> int:
    """The epoch with the lowest sum of losses on ``split``, each relative to its value after the first epoch.

    Relative, so that no task decides by its unit; the earliest of equal ones.
    """

    def score(row: Mapping[str, Any]) -> float:
        return math.fsum(row[f"{split}_loss_{t}"] / max(abs(rows[0][f"{split}_loss_{t}"]), 1e-12) for t in tasks)

    return min(range(len(rows)), key=lambda epoch: score(rows[epoch]))


def without_nan(value: Any) -> Any:
    """The same value with NaN and infinities as None, which JSON can hold."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: without_nan(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return value
