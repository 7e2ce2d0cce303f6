"""The record of a run: one row per epoch, and the numbers that are reported from it."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mtlbench.metrics.delta_m import delta_m
from mtlbench.metrics.metric import Metric


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV text; floats in the shortest form that reads back to the same bits."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, lineterminator="\n", restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: repr(value) if isinstance(value, float) else value for name, value in row.items()})
    return buffer.getvalue()


def at_epoch(
    rows: Sequence[Mapping[str, Any]], epoch: int, split: str, metrics: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, float]]:
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


def best_epoch(rows: Sequence[Mapping[str, Any]], split: str, metrics: Mapping[str, Sequence[Metric]]) -> int:
    """The epoch (0 is the first) whose primary metrics on ``split`` are best, the earliest of equal ones.

    An epoch's score is the sum over tasks of the logarithm of the primary metric, negated where lower is better, so
    equal *relative* changes of two tasks weigh the same whatever their units and ranges are. It does not depend on
    other epochs: the best so far, kept while training, is the best of all at the end. Metrics are taken as lying within
    1e-12 to 1e12, and one that is undefined as the worst of these.
    """

    def score(row: Mapping[str, Any]) -> float:
        total = []
        for task, metric in _primary(metrics).items():
            value = float(row[f"{split}_{task}_{metric.name}"])
            sign = 1 if metric.higher_is_better else -1
            total.append(sign * math.log(min(max(value, 1e-12), 1e12)) if value == value else math.log(1e-12))
        return math.fsum(total)

    return max(range(len(rows)), key=lambda epoch: score(rows[epoch]))


def flattering_epoch(
    rows: Sequence[Mapping[str, Any]],
    split: str,
    metrics: Mapping[str, Sequence[Metric]],
    reported: Mapping[str, Mapping[str, float]],
) -> int:
    """The epoch that looks best on ``split`` beside ``reported``: the highest mean relative gain of primary metrics.

    The gain is linear in the metrics, so that of a mean over epochs is the mean of theirs: choosing like this can never
    look worse than what is reported, be it an epoch or a mean of some. Tasks whose reported value is 0 or undefined are
    left out. The earliest of equal epochs; the last where no gain is defined.
    """
    usable = {
        task: [metric]
        for task, metric in _primary(metrics).items()
        if math.isfinite(value := reported[task][metric.name]) and value != 0
    }
    names = {task: [metric.name for metric in found] for task, found in usable.items()}
    gains = [delta_m(at_epoch(rows, epoch, split, names), reported, usable, "primary") for epoch in range(len(rows))]
    defined = [epoch for epoch, gain in enumerate(gains) if math.isfinite(gain)]
    return max(defined, key=lambda epoch: gains[epoch]) if defined else len(rows) - 1


def _primary(metrics: Mapping[str, Sequence[Metric]]) -> dict[str, Metric]:
    """The primary metric of each task that has one."""
    return {task: metric for task, found in metrics.items() for metric in found if metric.primary}


def without_nan(value: Any) -> Any:
    """The same value with NaN and infinities as None, which JSON can hold."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: without_nan(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return value
