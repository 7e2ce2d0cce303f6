"""The training runs of an experiment with a search: trials, perhaps only as far as rungs, then final runs.

All rows have the same number of trials. Final runs train the setting that ``mtlbench select`` chooses: their keys are
functions of the trials' keys, never of the outcome, so all runs are known before anything is trained. So it is with
rungs (successive halving, Jamieson and Talwalkar, AISTATS 2016): every trial has a run for each rung and one for the
end, and those of a trial that is stopped hold what it had by then (``runs/derived.py``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mtlbench.plan import keys
from mtlbench.plan.blocks import Protocol
from mtlbench.plan.quasi import Setting, settings
from mtlbench.plan.registry import without_later
from mtlbench.plan.rows import RUNG, STOP, Chosen, Promoted, Row, Run, mean_of, measured, seeded, trial_name
from mtlbench.plan.search_block import Rung, SearchBlock

#: Bumped by hand when a selection is meant to choose otherwise from the same trials.
SELECTION_VERSION = 1

#: {row: its trials by number}.
_Trials = Mapping[str, Sequence[Run]]


def searched(rows: Sequence[Row], seeds: Sequence[int], search: SearchBlock, baseline: str) -> list[Run]:
    """The runs of an experiment with a search: all trials (rung after rung), then all final runs."""
    whole = {row.name: _trials(row, search) for row in measured(rows)}
    for row in rows:
        if row.of:
            of = whole[f"{row.model}/{row.of}"]
            whole[row.name] = [mean_of(row, run, trial_name(number)) for number, run in enumerate(of)]
    single = [row.name for row in rows if row.model == baseline]
    levels = _levels(whole, single, search)
    tried = {name: _keys(runs) for name, runs in levels[-1].items()}
    selection = keys.key(selection_spec(tried, search.rule))
    reference = [key for name in single for key in tried[name]]
    trials = [run for level in levels for row in rows for run in level[row.name]]
    last = Chosen(rows[0].name, selection, stage=2 + len(search.rungs))
    finals = [_final(row, seed, tried[row.name], reference, search.rule, last) for row in rows for seed in seeds]
    return [*trials, *finals]


def selection_spec(trials: Mapping[str, Sequence[str]], rule: str, keep: int | None = None) -> dict[str, Any]:
    """What a selection depends on: {row: keys of its trials} and the rule; of a rung also how many it keeps."""
    found = {"version": SELECTION_VERSION, "rule": rule, "trials": {row: list(keys) for row, keys in trials.items()}}
    return found if keep is None else {**found, "keep": keep}


def _levels(whole: _Trials, single: Sequence[str], search: SearchBlock) -> list[_Trials]:
    """The trials as they stand at each rung, then at the end; ``single`` are the baseline's rows."""
    if not search.rungs:
        return [whole]
    first = search.rungs[0].epochs
    levels: list[_Trials] = [
        {name: [_as_far_as(run, run.spec, first, 1) for run in runs] for name, runs in whole.items()}
    ]
    stops = [*(rung.epochs for rung in search.rungs[1:]), None]
    for number, (rung, stop) in enumerate(zip(search.rungs, stops, strict=True), 1):
        levels.append(_further(whole, levels[-1], single, search.rule, number, rung, stop))
    return levels


def _further(
    whole: _Trials, before: _Trials, single: Sequence[str], rule: str, number: int, rung: Rung, stop: int | None
) -> _Trials:  # fmt: skip
    """All trials beyond a rung, as far as the epoch ``stop`` of the next one (None: to the end)."""
    at_rung = {name: _keys(runs) for name, runs in before.items()}
    selection = keys.key(selection_spec(at_rung, rule, rung.keep))
    reference = [key for name in single for key in at_rung[name]]

    def climb(run: Run, earlier: Run) -> Run:
        assert run.trial is not None
        judged = {**_judged(run.row, at_rung[run.row.name], reference, rule), "keep": rung.keep, "trial": run.trial}
        place = (f"{run.row.name}/{trial_name(run.trial, number)}", earlier.key)
        source = Promoted(run.row.name, run.trial, place, selection, number)
        return _as_far_as(run, {**run.spec, RUNG: judged}, stop, number + 1, source)

    return {name: [climb(*pair) for pair in zip(runs, before[name], strict=True)] for name, runs in whole.items()}


def _as_far_as(
    run: Run, spec: Mapping[str, Any], stop: int | None, rung: int, source: Promoted | None = None
) -> Run:  # fmt: skip
    if stop is None:
        return Run(run.row, run.seed, spec, source, run.trial)
    return Run(run.row, run.seed, {**spec, STOP: stop}, source, run.trial, rung=rung)


def _keys(runs: Sequence[Run]) -> list[str]:
    return [run.key for run in runs]


def _judged(row: Row, trials: Sequence[str], reference: Sequence[str], rule: str) -> dict[str, Any]:
    """What a choice among a row's trials depends on."""
    alone = len(row.tasks) == 1  # judged by one metric alone, so by nothing of other rows
    return {
        "version": SELECTION_VERSION,
        "rule": rule,
        "trials": list(trials),
        "reference": [] if alone else list(reference),
    }


def _trials(row: Row, search: SearchBlock) -> list[Run]:
    found = settings(row.dimensions, search.trials, search.seed)
    return [Run(row, search.seed, _trial(row.spec, setting, search), trial=i) for i, setting in enumerate(found)]


def _trial(spec: Mapping[str, Any], setting: Setting, search: SearchBlock) -> dict[str, Any]:
    training = spec["training"]
    return seeded({
        **spec,
        "training": {
            **training, **setting["training"], "epochs": search.epochs,
            "optimizer": {**training["optimizer"], **setting["optimizer"]},
        },
        "protocol": Protocol(name="held_out", share=search.held_out).model_dump(),
        "model": _with_options("models", spec["model"], setting["model"]),
        "weighting": _with_options("weightings", spec["weighting"], setting["weighting"]),
    }, search.seed)  # fmt: skip


def _final(row: Row, seed: int, trials: Sequence[str], reference: Sequence[str], rule: str, chosen: Chosen) -> Run:
    spec = {**seeded(row.spec, seed), "search": _judged(row, trials, reference, rule)}
    return Run(row, seed, spec, replace(chosen, row=row.name))


def _with_options(kind: str, block: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    return {**block, "options": without_later(kind, block["kind"], {**block["options"], **options})}
