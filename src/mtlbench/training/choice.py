"""What the search of an experiment chooses, from the files of its trials: for `mtlbench select`, and for its check."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mtlbench.metrics.metric import Metric
from mtlbench.plan import grid, task_options
from mtlbench.plan.names import ONLY
from mtlbench.plan.params import Experiment, Params
from mtlbench.runs.dataset import DatasetFacts
from mtlbench.runs.manifest import read_cell
from mtlbench.runs.select import Trial, choose, promote, read_rows
from mtlbench.tasks import make_tasks

#: Relative difference of a score that another version of NumPy may make from the same files.
TOLERANCE = 1e-9


def choice(params: Params, name: str, rung: int | None = None) -> dict[str, Any]:
    """The content of selection.json, with ``rung`` (from 1) of that one's.

    The trials must be there. DamagedError, DataError as in ``runs/select.py``.
    """
    trials = grid.trials(params, name, rung)
    wanted = grid.experiment(params, name)
    metrics = _metrics(trials[0], wanted)
    baseline = [f"{wanted.baseline}/{ONLY}{task}" for task in wanted.tasks]
    read = read_rows(trials, metrics)
    assert wanted.search is not None
    rungs = wanted.search.rungs
    if rung is not None:
        found = promote(read, baseline, metrics, rungs[rung - 1].epochs, rungs[rung - 1].keep)
    else:
        found = choose(read, baseline, metrics)
        if rungs:
            found |= {"epochs": wanted.search.epochs, "rungs": [one.model_dump() for one in rungs]}
    if wanted.search.space.schedule is not None:
        _add_schedules(found["rows"], read)
    return found


def _add_schedules(rows: Mapping[str, Any], read: Mapping[str, Sequence[Trial]]) -> None:
    """Write beside each trial, and beside the choice, the schedule that was tried."""
    for name, row in rows.items():
        for one, trial in zip(row["trials"], read[name], strict=True):
            one["schedule"] = trial.spec["training"]["schedule"]
        if row.get("chosen") is not None:
            row["schedule"] = row["trials"][row["chosen"]]["schedule"]


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same but for the rounding of numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) or isinstance(other, float):
        numbers = isinstance(one, (int, float)) and isinstance(other, (int, float))
        return numbers and math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(one == other)


def _metrics(cell: grid.Cell, wanted: Experiment) -> dict[str, Sequence[Metric]]:
    """{task: its metrics} of an experiment for data as a finished cell had it."""
    stored = DatasetFacts.of_cell(read_cell(cell)).tasks
    made = make_tasks(task_options.arguments(stored, wanted.tasks, wanted.task_options))
    return {name: task.metrics for name, task in made.items()}
