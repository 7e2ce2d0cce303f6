"""What no single block of params.yaml can know: names, and values that must go together. Nothing imports torch."""

import re
from typing import Any
from unicodedata import category

from mtlbench.plan import frozen, names, pairs, parts, reference, rungs, start
from mtlbench.plan.blocks import Experiment, Params
from mtlbench.plan.options import OneTask, PerTask
from mtlbench.plan.registry import entry, split_kind
from mtlbench.plan.search_block import SearchBlock
from mtlbench.plan.sources import check_source
from mtlbench.system.errors import ParamsError, nearest

_LABEL = re.compile(r"[a-z][a-z0-9_]{0,63}")


def check(params: Params) -> None:
    """Raises ParamsError naming the key, what was expected and what was found."""
    _check_names(params)
    for name, block in params.datasets.items():
        split_kind("datasets", name, block, f"datasets.{name}", extra=("source",))
        check_source(block.get("source"), f"datasets.{name}.source")
    for name, grid in params.grids.items():
        for label, block in grid.models.items():
            split_kind("models", label, block, f"grids.{name}.models.{label}", extra=(start.KEY, pairs.KEY))
        for label, block in grid.weightings.items():
            split_kind("weightings", label, frozen.written(block), f"grids.{name}.weightings.{label}")
    for name, experiment in params.experiments.items():
        _check_experiment(params, name, experiment)


def _check_names(params: Params) -> None:
    labels = [("", "experiments", name) for name in params.experiments]
    for block in ("datasets", "protocols", "trainings", "grids"):
        labels += [("", block, name) for name in getattr(params, block)]
    for name, experiment in params.experiments.items():
        labels += [("", f"experiments.{name}.models", label) for label in experiment.models]
        labels += [("", f"experiments.{name}.weightings", label) for label in experiment.weightings]
    for _, where, label in labels:
        if not _LABEL.fullmatch(label):
            raise ParamsError(
                f"{where}: expected a name of at most 64 lower-case letters, digits and _, found '{label}'"
            )
    for name in params.experiments:
        if names.taken(name, params.experiments):
            raise ParamsError(f"experiments.{name}: the name is taken by a rule of the workflow; choose another")
    for name in params.run:
        if name not in params.experiments:
            raise ParamsError(f"run: unknown experiment '{name}'. {nearest(name, params.experiments)}")
    if twice := [name for name in params.experiments if params.run.count(name) > 1]:
        raise ParamsError(f"run: expected every experiment once, found '{twice[0]}' {params.run.count(twice[0])} times")


def _check_experiment(params: Params, name: str, experiment: Experiment) -> None:
    where = f"experiments.{name}"
    if wrong := next((one for one in experiment.title if category(one) in ("Cc", "Cs", "Zl", "Zp")), ""):
        raise ParamsError(f"{where}.title: expected one line of text, found the control character {wrong!r}")
    if experiment.dataset not in params.datasets:
        raise ParamsError(
            f"{where}.dataset: unknown '{experiment.dataset}'. {nearest(experiment.dataset, params.datasets)}"
        )
    for label, block in experiment.models.items():
        kind, options = split_kind("models", label, block, f"{where}.models.{label}", extra=(start.KEY, pairs.KEY))
        _check_tasks("models", kind, options, experiment.tasks, f"{where}.models.{label}")
    for label in experiment.models:
        searched = experiment.search is not None
        start.check(label, experiment.models, searched, f"{where}.models.{label}.{start.KEY}")
    for label, block in experiment.weightings.items():
        if label.startswith(names.ONLY):
            raise ParamsError(f"{where}.weightings.{label}: labels with '{names.ONLY}' first name single-task runs")
        frozen.check(label, experiment.weightings, f"{where}.weightings.{label}")
        kind, options = split_kind("weightings", label, frozen.written(block), f"{where}.weightings.{label}")
        _check_tasks("weightings", kind, options, experiment.tasks, f"{where}.weightings.{label}")
        reference.check(kind, experiment, f"{where}.weightings.{label}")
    pairs.check(experiment.models, experiment.weightings, where)
    for what in ("seeds", "tasks"):
        values = getattr(experiment, what)
        if len(set(values)) != len(values):
            raise ParamsError(f"{where}.{what}: expected different values, found {values}")
    kinds = [block.get("kind", label) for label, block in experiment.models.items()]
    parts.check(experiment.training.parts, kinds, f"{where}.training.parts")
    if experiment.baseline_errors and set(experiment.baseline_errors) != set(experiment.tasks):
        raise ParamsError(
            f"{where}.baseline_errors: expected an error for each of {', '.join(experiment.tasks)}, found "
            f"{', '.join(experiment.baseline_errors)}"
        )
    if experiment.baseline is not None:
        _check_baseline(experiment.baseline, experiment, f"{where}.baseline")
    last = experiment.protocol.last_epochs
    if last is not None and last > experiment.training.epochs:
        raise ParamsError(
            f"{where}.protocol.last_epochs: expected at most the {experiment.training.epochs} epochs of training, "
            f"found {last}"
        )
    phase, first = experiment.training.second_phase, experiment.training.first_epochs
    if phase and last is not None and 0 < min(phase.epochs, first) < last:
        raise ParamsError(
            f"{where}.protocol.last_epochs: expected no more epochs than each phase of training has, found {last}"
        )
    if experiment.search is not None:
        _check_search(experiment.search, experiment, where)
    gpus, processes = experiment.resources.gpu, experiment.training.processes
    if 0 < gpus < processes:
        raise ParamsError(
            f"{where}.resources.gpu: expected a GPU for each of the {processes} processes of training.processes (or 0 "
            f"for CPUs), found {gpus}"
        )


def _check_baseline(label: str, experiment: Experiment, where: str) -> None:
    if label not in experiment.models:
        raise ParamsError(f"{where}: '{label}' is not one of its models. {nearest(label, experiment.models)}")
    kinds = {other: block.get("kind", other) for other, block in experiment.models.items()}
    single = [other for other, kind in kinds.items() if entry("models", kind).constants.get("single_task", False)]
    if label not in single:
        remedy = f"of its models: {', '.join(single)}" if single else "add one to its models, or set baseline to null"
        raise ParamsError(
            f"{where}: expected a single-task model, because Delta_m compares with networks of one task each; found "
            f"'{label}' ({remedy})"
        )


def _check_search(search: SearchBlock, experiment: Experiment, where: str) -> None:
    """What the block alone cannot know; the ranges are checked where the trials are made (grid.py)."""
    if experiment.baseline is None:
        raise ParamsError(
            f"{where}.baseline: expected a single-task model, because a search compares with it; found null"
        )
    if search.seed in experiment.seeds:
        raise ParamsError(
            f"{where}.search.seed: expected none of the final runs' seeds {experiment.seeds}, found {search.seed}"
        )
    rungs.check(search, experiment.weightings, f"{where}.search.rungs")
    for kind in ("models", "weightings"):
        for label in getattr(search.space, kind):
            known = getattr(experiment, kind)
            if label not in known:
                raise ParamsError(f"{where}.search.space.{kind}.{label}: unknown key. {nearest(label, known)}")
    for label in search.space.weightings:
        if other := frozen.of(experiment.weightings[label]):
            raise ParamsError(
                f"{where}.search.space.weightings.{label}: it takes the settings of '{other}'; name that one"
            )


def _check_tasks(part: str, kind: str, options: dict[str, Any], tasks: list[str], where: str) -> None:
    """An option with a value for every task has exactly those of the experiment, and not only zeros; one that names a
    task names one of them."""
    for name, values in options.items():
        field = entry(part, kind).options.model_fields[name]
        if OneTask in field.metadata and values and values not in tasks:
            raise ParamsError(f"{where}.{name}: expected one of {', '.join(tasks)}, found '{values}'")
        if PerTask not in field.metadata or values is None:
            continue
        if set(values) != set(tasks):
            raise ParamsError(f"{where}.{name}: expected a value for each of {', '.join(tasks)}, found {values}")
        if not any(values.values()):
            raise ParamsError(f"{where}.{name}: expected a value above 0 for one task at least, found {values}")
