"""What the trials of a search say: the chosen settings, and how good the best of k trials is.

Scores and gains are on the held-out images; the content of selection.json is that of ``runs/select.py``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mtlbench.metrics.delta_m import relative_gain
from mtlbench.plan.names import ONLY
from mtlbench.report.rows.cells import LoadedCell
from mtlbench.report.rows.grid import SINGLE, Column, Grid, Row
from mtlbench.report.rows.text import schedule_text, task_title

#: The weighting whose trials are fixed weights all over the simplex.
STATIC = "static"
#: The option that every row shares.
RATE = "learning_rate"


@dataclass(frozen=True)
class Tuned:
    """One row of a search. ``scores`` (trials,) in percent, NaN for a trial without numbers; ``chosen`` its number.

    ``gains`` (trials, tasks) are of each task's primary metric over the reference in percent, positive is better.
    ``settings`` are the values of the options that differ between the trials, one mapping for each trial. ``runs`` are
    the trials' files, None where they are not those of the selection. ``fixed``: weights searched over the simplex.
    ``stopped``: {trial: the epochs after which it was stopped at a rung}; its score is what it had by then, and it has
    no gains, because nothing says where it would have ended.
    """

    model: str
    weighting: str
    title: str
    fixed: bool
    chosen: int | None
    scores: np.ndarray
    gains: np.ndarray
    settings: tuple[Mapping[str, Any], ...]
    runs: tuple[LoadedCell | None, ...]
    stopped: Mapping[int, int] = field(default_factory=dict)

    @property
    def single_task(self) -> bool:
        """Whether the row is one network of a single-task baseline, which one metric alone judges."""
        return self.weighting.startswith(ONLY)

    @property
    def lost(self) -> int:
        """Trials without numbers."""
        return int(np.isnan(self.scores).sum())


def tuned(grid: Grid) -> list[Tuned]:
    """The rows of the experiment's search in the order of the selection; [] without one."""
    found = grid.input.selection or {}
    reference = found.get("reference", {})
    return [_row(grid, name, row, reference) for name, row in found.get("rows", {}).items()]


def _row(grid: Grid, name: str, row: Mapping[str, Any], reference: Mapping[str, Any]) -> Tuned:
    model, weighting = name.split("/")
    trials = row["trials"]
    scores = np.array([np.nan if one["score"] is None else one["score"] for one in trials], float)
    columns = [column for column in grid.columns if column.metric.primary]
    stopped = {at: int(one["stopped_after"]) for at, one in enumerate(trials) if "stopped_after" in one}
    ended = [{} if at in stopped else one["held_out"] for at, one in enumerate(trials)]
    gains = [[gain(values, reference, column) for column in columns] for values in ended]
    runs = {one.cell.key: one for one in grid.trials.get(name, ())}
    return Tuned(
        model, weighting, _title(grid, model, weighting),
        any(fixed_weights(one) and (one.model, one.weighting) == (model, weighting) for one in grid.rows),
        row["chosen"], scores, np.array(gains, float).reshape(len(trials), len(columns)), tuple(_settings(trials)),
        tuple(runs.get(one["key"]) for one in trials), stopped,
    )  # fmt: skip


def fixed_weights(row: Row) -> bool:
    """Whether a row's weights are fixed and its own: searched where there is a search, not another row's means."""
    return row.weighting_kind == STATIC and not row.mean_of


def _title(grid: Grid, model: str, weighting: str) -> str:
    """Model and weighting for people, as the tables have them; of a single-task network also its task."""
    name = grid.titles.get(model, model)
    if weighting.startswith(ONLY):
        return f"{name} · {SINGLE}, {task_title(weighting.removeprefix(ONLY)).lower()}"
    return f"{name} · {grid.titles.get(weighting, weighting)}"


def gain(values: Mapping[str, Any], reference: Mapping[str, Any], column: Column) -> float:
    """The gain in a column's metric over the reference, both {task: {metric: value}}, in percent; NaN if unknown."""
    value, base = (_value(one, column.task, column.metric.name) for one in (values, reference))
    return float(relative_gain(value, base, column.metric))


def _value(values: Mapping[str, Mapping[str, float | None]], task: str, metric: str) -> float:
    found = values.get(task, {}).get(metric)
    return np.nan if found is None else float(found)


def _settings(trials: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The options of each trial whose values differ between the trials; of one trial all of the optimiser."""
    flat = [{**one["optimizer"], **_schedule(one), **one["model"], **one["weighting"]} for one in trials]
    names = [name for name in flat[0] if any(one.get(name) != flat[0][name] for one in flat)] if flat else []
    return [{name: one.get(name) for name in names} for one in flat]


def _schedule(trial: Mapping[str, Any]) -> dict[str, str]:
    return {"schedule": schedule_text(trial["schedule"]).removesuffix(" schedule")} if "schedule" in trial else {}


def expected_best(scores: np.ndarray) -> np.ndarray:
    """The expected best score (n,) of k = 1..n trials drawn with replacement from the n of ``scores`` (n,).

    Dodge et al., "Show Your Work", EMNLP 2019 (arXiv 1909.03004), eq. 2 to 5: the largest of k draws is at most the
    i-th smallest score with probability (i / n)^k. A trial without numbers counts as tried, as bad as the worst other.
    With trials that were stopped at rungs it is rather too low for a search that stops none: their scores are early.
    """
    count = len(scores)
    if not np.isfinite(scores).any():
        return np.full(count, np.nan)
    ordered = np.sort(np.where(np.isnan(scores), np.nanmin(scores), scores))
    below = (np.arange(count + 1)[:, None] / count) ** np.arange(1, count + 1)
    return np.asarray(ordered @ np.diff(below, axis=0))
