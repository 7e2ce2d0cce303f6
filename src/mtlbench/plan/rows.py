"""The training runs of an experiment's rows: their specs and keys, without places on disk.

Without a search (``plan/searched.py``) a row has one run for each seed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from mtlbench.plan import keys
from mtlbench.plan.dimensions import Dimension
from mtlbench.plan.names import ONLY
from mtlbench.plan.reference import REFERENCE
from mtlbench.plan.start import SingleTaskRuns

#: In a spec: the epochs after which a trial is stopped, to be ranked at a rung.
STOP = "stop_after"
#: In a spec: what it depends on whether the trial goes on beyond a rung.
RUNG = "rung"


@dataclass(frozen=True)
class MeanOf:
    """The run takes fixed weights: the means over the epochs of another run, by its name below the experiment."""

    run: str
    key: str
    stage: int = 1


@dataclass(frozen=True)
class Promoted:
    """The trial goes on if the choice at a rung (``selection`` is its key) keeps it; else it stays as it was there.

    ``before`` is the same trial as it stood at that rung: its name below the experiment and its key.
    """

    row: str
    trial: int
    before: tuple[str, str]
    selection: str
    rung: int

    @property
    def stage(self) -> int:
        """Trials climb to the first rung before anything else runs."""
        return self.rung


@dataclass(frozen=True)
class Chosen:
    """The run takes the setting that the experiment's selection (by its key) chose for the row."""

    row: str
    selection: str
    stage: int = 2
    rung: None = None


Source = MeanOf | Promoted | Chosen


def trial_name(number: int, rung: int | None = None) -> str:
    """``trial<n>``, or ``trial<n>_rung<r>`` for the same trial only as far as a rung."""
    return f"trial{number}" if rung is None else f"trial{number}_rung{rung}"


@dataclass(frozen=True)
class Row:
    """A model with a weighting. ``spec`` is that of its runs without a seed; ``of`` the weighting whose mean weights it
    takes, or ""; ``start`` the label of the single-task model that it starts from, ``reference`` of that by which it is
    judged in training, or ""."""

    model: str
    weighting: str
    tasks: tuple[str, ...]
    spec: Mapping[str, Any]
    of: str = ""
    start: str = ""
    dimensions: tuple[Dimension, ...] = ()
    reference: str = ""

    @property
    def name(self) -> str:
        """``model/weighting``."""
        return f"{self.model}/{self.weighting}"


@dataclass(frozen=True)
class Run:
    """One training run of a row: ``trial`` is its number when it is one, ``rung`` the one as far as which it goes."""

    row: Row
    seed: int
    spec: Mapping[str, Any]
    source: Source | None = None
    trial: int | None = None
    start: SingleTaskRuns | None = None
    rung: int | None = None
    reference: SingleTaskRuns | None = None

    @cached_property
    def key(self) -> str:
        """Of the spec."""
        return keys.key(self.spec)


def plain(rows: Sequence[Row], seeds: Sequence[int]) -> list[Run]:
    """The runs of an experiment without a search: one for each row and seed."""
    first = {(row.name, seed): Run(row, seed, seeded(row.spec, seed)) for row in measured(rows) for seed in seeds}
    first |= {place: _started(run, first) for place, run in first.items() if run.row.start}
    first |= {place: _judged(run, first) for place, run in first.items() if run.row.reference}

    def run(row: Row, seed: int) -> Run:
        return mean_of(row, first[f"{row.model}/{row.of}", seed], f"seed{seed}") if row.of else first[row.name, seed]

    return [run(row, seed) for row in rows for seed in seeds]


def measured(rows: Sequence[Row]) -> Iterator[Row]:
    """Rows that take nothing from another."""
    return (row for row in rows if not row.of)


def _started(run: Run, runs: Mapping[tuple[str, int], Run]) -> Run:
    """The run, from trained single-task networks of the same seed."""
    given = _single(run, run.row.start, runs)
    return replace(
        run, spec={**run.spec, "start": {task: key for task, (_, key) in given.items()}}, start=SingleTaskRuns(given)
    )


def _judged(run: Run, runs: Mapping[tuple[str, int], Run]) -> Run:
    """The run, with the single-task runs of the same seed that judge it."""
    given = _single(run, run.row.reference, runs)
    keys_of = {task: key for task, (_, key) in given.items()}
    return replace(run, spec={**run.spec, REFERENCE: keys_of}, reference=SingleTaskRuns(given))


def _single(run: Run, label: str, runs: Mapping[tuple[str, int], Run]) -> dict[str, tuple[str, str]]:
    """{task: (name below the experiment, key)} of the runs of a single-task model with the run's seed."""
    given = {task: runs[f"{label}/{ONLY}{task}", run.seed] for task in run.row.tasks}
    return {task: (f"{one.row.name}/seed{one.seed}", one.key) for task, one in given.items()}


def mean_of(row: Row, of: Run, name: str) -> Run:
    """The same run as ``of`` with fixed weights in place of its weighting."""
    spec = {**of.spec, "weighting": {**row.spec["weighting"], "mean_of": of.key}}
    source = MeanOf(f"{of.row.name}/{name}", of.key)
    return Run(row, of.seed, spec, source, of.trial, of.start, reference=of.reference)


def seeded(spec: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The spec of a row's run with this seed."""
    return {**spec, "seed": seed}
