"""How far a network in training is behind the single-task networks of its grid, on the same held-out images."""

import csv
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mtlbench.metrics.delta_m import relative_gain
from mtlbench.metrics.metric import Metric
from mtlbench.plan import places
from mtlbench.plan.grid import Cell
from mtlbench.runs.manifest import Manifest
from mtlbench.system.errors import DamagedError
from mtlbench.training import history

#: {task: {metric: value}}.
Values = Mapping[str, Mapping[str, float]]

_HISTORY = "history.csv"


def reference(cell: Cell, metrics: Mapping[str, Sequence[Metric]]) -> Values:
    """The single-task networks' metrics on the held-out images, each at the epoch whose weights it reports.

    Empty for a cell that is not judged. Raises DamagedError when a history is not what its manifest says.
    """
    found: dict[str, Mapping[str, float]] = {}
    for task, manifest in cell.references.items():
        assert cell.reference is not None
        path = places.cell(f"{cell.experiment}/{cell.reference.runs[task][0]}") / _HISTORY
        if wrong := Manifest.read(manifest).outputs[_HISTORY].problem(path):
            raise DamagedError(path, wrong)
        with open(path, encoding="utf-8", newline="") as file:
            rows = [{name: float(value or "nan") for name, value in row.items()} for row in csv.DictReader(file)]
        own = {task: metrics[task]}
        best = history.best_epoch(rows, "val", own)
        found |= history.at_epoch(rows, best, "val", {task: [metric.name for metric in metrics[task]]})
    return found


def shortfalls(row: Mapping[str, Any], single: Values, metrics: Mapping[str, Sequence[Metric]]) -> list[float]:
    """By how many percent an epoch's held-out metrics are worse than ``single``, for each task; below 0: better.

    The mean over a task's metrics, secondary ones left out and those that are undefined; 0 where none is left.
    """
    found = []
    for task, values in single.items():
        counted = [metric for metric in metrics[task] if not metric.secondary]
        gains = [float(relative_gain(row[f"val_{task}_{m.name}"], values[m.name], m)) for m in counted]
        defined = [gain for gain in gains if math.isfinite(gain)]
        found.append(-math.fsum(defined) / len(defined) if defined else 0.0)
    return found
