"""The training runs of an experiment's rows: their specs and keys, without places on disk.

Without a search a row has one run for each seed. With one it has the same number of trials first, and its final runs
train the setting that ``mtlbench select`` chooses: their keys are functions of the trials' keys, never of the outcome,
so all runs are known before anything is trained.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mtlbench.plan import keys
from mtlbench.plan.blocks import Protocol
from mtlbench.plan.dimensions import Dimension
from mtlbench.plan.names import ONLY
from mtlbench.plan.quasi import Setting, settings
from mtlbench.plan.search_block import SearchBlock
from mtlbench.plan.start import Start

#: Bumped by hand when a selection is meant to choose otherwise from the same trials.
SELECTION_VERSION = 1


@dataclass(frozen=True)
class MeanOf:
    """The run takes fixed weights: the means over the epochs of another run, by its name below the experiment."""

    run: str
    key: str


@dataclass(frozen=True)
class Chosen:
    """The run takes the setting that the experiment's selection (by its key) chose for the row."""

    row: str
    selection: str


@dataclass(frozen=True)
class Row:
    """A model with a weighting. ``spec`` is that of its runs without a seed; ``of`` the weighting whose mean weights it
    takes, or ""; ``start`` the label of the single-task model that it starts from, or ""."""

    model: str
    weighting: str
    tasks: tuple[str, ...]
    spec: Mapping[str, Any]
    of: str = ""
    start: str = ""
    dimensions: tuple[Dimension, ...] = ()

    @property
    def name(self) -> str:
        """``model/weighting``."""
        return f"{self.model}/{self.weighting}"


@dataclass(frozen=True)
class Run:
    """One training run of a row: ``trial`` is its number when it is one."""

    row: Row
    seed: int
    spec: Mapping[str, Any]
    source: MeanOf | Chosen | None = None
    trial: int | None = None
    start: Start | None = None

    @property
    def key(self) -> str:
        """Of the spec."""
        return keys.key(self.spec)


def plain(rows: Sequence[Row], seeds: Sequence[int]) -> list[Run]:
    """The runs of an experiment without a search: one for each row and seed."""
    first = {(row.name, seed): Run(row, seed, _seeded(row.spec, seed)) for row in _measured(rows) for seed in seeds}
    first |= {place: _started(run, first) for place, run in first.items() if run.row.start}

    def run(row: Row, seed: int) -> Run:
        return _mean_of(row, first[f"{row.model}/{row.of}", seed], f"seed{seed}") if row.of else first[row.name, seed]

    return [run(row, seed) for row in rows for seed in seeds]


def searched(rows: Sequence[Row], seeds: Sequence[int], search: SearchBlock, baseline: str) -> list[Run]:
    """The runs of an experiment with a search: all trials, then all final runs."""
    tried = {row.name: _trials(row, search) for row in _measured(rows)}
    for row in rows:
        if row.of:
            of = tried[f"{row.model}/{row.of}"]
            tried[row.name] = [_mean_of(row, run, f"trial{number}") for number, run in enumerate(of)]
    selection = keys.key(selection_spec({name: [run.key for run in runs] for name, runs in tried.items()}, search.rule))
    reference = [run.key for row in rows if row.model == baseline for run in tried[row.name]]
    trials = [run for row in rows for run in tried[row.name]]
    finals = [
        _final(row, seed, [run.key for run in tried[row.name]], reference, search.rule, selection)
        for row in rows for seed in seeds
    ]  # fmt: skip
    return [*trials, *finals]


def selection_spec(trials: Mapping[str, Sequence[str]], rule: str) -> dict[str, Any]:
    """What a selection depends on: {row: keys of its trials} and the rule."""
    return {"version": SELECTION_VERSION, "rule": rule, "trials": {row: list(found) for row, found in trials.items()}}


def _measured(rows: Sequence[Row]) -> Iterator[Row]:
    """Rows that take nothing from another."""
    return (row for row in rows if not row.of)


def _trials(row: Row, search: SearchBlock) -> list[Run]:
    found = settings(row.dimensions, search.trials, search.seed)
    return [Run(row, search.seed, _trial(row.spec, setting, search), trial=i) for i, setting in enumerate(found)]


def _trial(spec: Mapping[str, Any], setting: Setting, search: SearchBlock) -> dict[str, Any]:
    training = spec["training"]
    return _seeded({
        **spec,
        "training": {
            **training, "epochs": search.epochs, "optimizer": {**training["optimizer"], **setting["optimizer"]},
        },
        "protocol": Protocol(name="held_out", share=search.held_out).model_dump(),
        "model": _with_options(spec["model"], setting["model"]),
        "weighting": _with_options(spec["weighting"], setting["weighting"]),
    }, search.seed)  # fmt: skip


def _final(row: Row, seed: int, trials: Sequence[str], reference: Sequence[str], rule: str, selection: str) -> Run:
    alone = len(row.tasks) == 1  # judged by one metric alone, so by nothing of other rows
    search = {
        "version": SELECTION_VERSION,
        "rule": rule,
        "trials": list(trials),
        "reference": [] if alone else list(reference),
    }
    return Run(row, seed, {**_seeded(row.spec, seed), "search": search}, Chosen(row.name, selection))


def _started(run: Run, runs: Mapping[tuple[str, int], Run]) -> Run:
    """The run, from trained single-task networks of the same seed."""
    given = {task: runs[f"{run.row.start}/{ONLY}{task}", run.seed] for task in run.row.tasks}
    start = Start({task: (f"{one.row.name}/seed{one.seed}", one.key) for task, one in given.items()})
    return replace(run, spec={**run.spec, "start": {task: one.key for task, one in given.items()}}, start=start)


def _mean_of(row: Row, of: Run, name: str) -> Run:
    """The same run as ``of`` with fixed weights in place of its weighting."""
    spec = {**of.spec, "weighting": {**row.spec["weighting"], "mean_of": of.key}}
    return Run(row, of.seed, spec, MeanOf(f"{of.row.name}/{name}", of.key), of.trial, of.start)


def _seeded(spec: Mapping[str, Any], seed: int) -> dict[str, Any]:
    return {**spec, "seed": seed}


def _with_options(block: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    return {**block, "options": {**block["options"], **options}}
