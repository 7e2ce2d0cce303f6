"""The choice of one setting per row from the trials of a search, by numbers on held-out images alone.

The rule ``primary_gain``: the trial with the largest mean over the tasks of the relative gain of the primary metric
over the reference, the baseline's chosen trials (one network for each task, each chosen by its own primary metric).
Equal scores: the one of fewer operations, then the earlier one. A trial that diverged, or was stopped at a rung, counts
as tried and is never chosen. At a rung the trials that got there are ranked by the same rule, as if they ended there.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mtlbench.metrics.delta_m import delta_m
from mtlbench.metrics.metric import Metric
from mtlbench.plan.grid import Cell
from mtlbench.plan.rows import STOP
from mtlbench.runs.manifest import STOPPED, read_cell
from mtlbench.system.errors import DamagedError, DataError
from mtlbench.system.files import read_json

#: {task: {metric: value}}.
Values = Mapping[str, Mapping[str, float]]
#: The rule in words, for the file and for readers.
TEXT = (
    "the largest mean relative gain (percent) of the tasks' primary metrics over the baseline's chosen trials, on the "
    "held-out images; equal ones by operations, then by number"
)


@dataclass(frozen=True)
class Trial:
    """What a trial says on the held-out images: ``epoch`` is the one that its protocol kept, ``values`` its metrics.

    ``spec`` is that of what was trained; ``flops`` of a forward pass on one image. Without numbers ``reason`` says why.
    ``stopped_after``: the epochs that it was trained for when it is at a rung, or did not go on from one.
    """

    number: int
    key: str
    spec: Mapping[str, Any]
    values: Values
    flops: float
    epoch: int | None = None
    reason: str = ""
    stopped_after: int | None = None


def read_rows(cells: Sequence[Cell], metrics: Mapping[str, Sequence[Metric]]) -> dict[str, list[Trial]]:
    """{row (``model/weighting``): its trials} of finished cells."""
    rows: dict[str, list[Trial]] = {}
    for cell in cells:
        rows.setdefault(f"{cell.model}/{cell.weighting}", []).append(read_trial(cell, metrics))
    return rows


def read_trial(cell: Cell, metrics: Mapping[str, Sequence[Metric]]) -> Trial:
    """The trial of a finished cell; DamagedError where its files are not those of its manifest."""
    assert cell.trial is not None
    manifest = read_cell(cell)
    flops = float(manifest.facts.get("flops") or 0)
    if manifest.status not in ("complete", STOPPED):
        return Trial(
            cell.trial, cell.key, manifest.trained_spec, {}, flops, reason=f"{manifest.status}: {manifest.reason}"
        )
    for name in ("metrics.json", "history.csv"):
        if wrong := manifest.outputs[name].problem(cell.folder / name):
            raise DamagedError(cell.folder / name, wrong)
    epoch = int(read_json(cell.folder / "metrics.json")["best_epoch"])
    values = held_out(cell.folder / "history.csv", epoch, {task: metrics[task] for task in cell.tasks})
    spec = manifest.trained_spec
    reason = f"{manifest.status}: {manifest.reason}" if manifest.status == STOPPED else ""
    return Trial(cell.trial, cell.key, spec, values, flops, epoch, reason, spec.get(STOP))


def held_out(history: Any, epoch: int, metrics: Mapping[str, Sequence[Metric]]) -> dict[str, dict[str, float]]:
    """{task: {metric: value}} on the held-out images at an epoch (0 is the first) of a history.csv."""
    with open(history, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        return {
            task: {m.name: float(rows[epoch][f"val_{task}_{m.name}"]) for m in found} for task, found in metrics.items()
        }
    except (KeyError, IndexError, ValueError) as error:
        raise DamagedError(history, f"{type(error).__name__}: {error}") from None


def choose(
    rows: Mapping[str, Sequence[Trial]], reference_rows: Sequence[str], metrics: Mapping[str, Sequence[Metric]]
) -> dict[str, Any]:
    """The content of the selection file: for each row the chosen setting, and every trial with its score.

    ``rows`` are the trials by row (``model/weighting``), ``reference_rows`` those of the baseline. DataError when the
    baseline has no reference that gains can be relative to.
    """
    reference = _reference({name: rows[name] for name in reference_rows}, metrics)
    found = {name: _row(trials, reference, metrics) for name, trials in rows.items()}
    return {"rule": "primary_gain", "text": TEXT, "reference": _plain(reference), "rows": found}


def promote(
    rows: Mapping[str, Sequence[Trial]],
    reference_rows: Sequence[str],
    metrics: Mapping[str, Sequence[Metric]],
    epochs: int,
    keep: int,
) -> dict[str, Any]:
    """The content of a rung's file: of each row the ``keep`` best trials of those trained for ``epochs``, best first.

    Fewer where fewer have a score. The reference are the baseline's best trials at this rung; else as ``choose``.
    """
    reference = _reference({name: rows[name] for name in reference_rows}, metrics, epochs)
    found = {}
    for name, trials in rows.items():
        scores = [score(trial.values, reference, metrics) for trial in trials]
        kept = [trial.number for trial in _ranked(trials, scores, epochs)[:keep]]
        found[name] = {"kept": kept, "trials": list(map(_evidence, trials, scores))}
    rung = {"epochs": epochs, "keep": keep}
    return {"rule": "primary_gain", "text": TEXT, "rung": rung, "reference": _plain(reference), "rows": found}


def score(values: Values, reference: Values, metrics: Mapping[str, Sequence[Metric]]) -> float:
    """The mean over the tasks in ``values`` of the relative gain of the primary metric, in percent; NaN without one."""
    if not values:
        return math.nan
    return delta_m(values, reference, {task: metrics[task] for task in values}, "primary")


def _reference(
    rows: Mapping[str, Sequence[Trial]], metrics: Mapping[str, Sequence[Metric]], epochs: int | None = None
) -> dict[str, dict[str, float]]:
    """{task: {metric: value}} of the best trial of each single-task network by its primary metric."""
    found: dict[str, dict[str, float]] = {}
    for name, trials in rows.items():
        usable = [(trial, task, values) for trial in trials for task, values in trial.values.items()]
        # A gain over 1 or any other number orders the trials of one metric alike.
        ones = {task: dict.fromkeys(values, 1.0) for _, task, values in usable}
        best = next(iter(_ranked(trials, [score(trial.values, ones, metrics) for trial in trials], epochs)), None)
        if best is None:
            raise DataError(f"the baseline's {name} has no trial with numbers; widen search.space or lower its rates")
        for task, values in best.values.items():
            found[task] = dict(values)
            for metric in metrics[task]:
                if metric.primary and values[metric.name] == 0:
                    raise DataError(
                        f"the baseline's {name} reaches {metric.name} 0 on the held-out images, and no gain is "
                        "relative to 0; give trials (or rungs) more epochs or hold out more images"
                    )
    return found


def _row(trials: Sequence[Trial], reference: Values, metrics: Mapping[str, Sequence[Metric]]) -> dict[str, Any]:
    scores = [score(trial.values, reference, metrics) for trial in trials]
    best = next(iter(_ranked(trials, scores)), None)
    evidence = list(map(_evidence, trials, scores))
    if best is None:
        lost = [trial.reason for trial in trials if trial.reason and trial.stopped_after is None]
        return {"chosen": None, "reason": lost[0] if lost else "no primary metric is defined", "trials": evidence}
    chosen = {"optimizer": best.spec["training"]["optimizer"], "model": best.spec["model"],
              "weighting": best.spec["weighting"]}  # fmt: skip
    return {"chosen": best.number, **chosen, "trials": evidence}


def _ranked(trials: Sequence[Trial], scores: Sequence[float], epochs: int | None = None) -> list[Trial]:
    """The trials with a score that were trained for ``epochs`` (None: to the end), best first."""
    usable = [
        (value, trial) for value, trial in zip(scores, trials, strict=True)
        if math.isfinite(value) and trial.stopped_after == epochs
    ]  # fmt: skip
    return [trial for _, trial in sorted(usable, key=lambda pair: (-pair[0], pair[1].flops, pair[1].number))]


def _evidence(trial: Trial, value: float) -> dict[str, Any]:
    spec = trial.spec
    stopped = {} if trial.stopped_after is None else {"stopped_after": trial.stopped_after}
    return {
        "trial": trial.number,
        "key": trial.key,
        "score": value if math.isfinite(value) else None,
        **stopped,
        "epoch": trial.epoch,
        "reason": trial.reason,
        "held_out": _plain(trial.values),
        "flops": trial.flops,
        "optimizer": spec["training"]["optimizer"],
        "model": spec["model"]["options"],
        "weighting": spec["weighting"]["options"],
    }


def _plain(values: Values) -> dict[str, dict[str, float | None]]:
    return {
        task: {name: value if math.isfinite(value) else None for name, value in found.items()}
        for task, found in values.items()
    }
