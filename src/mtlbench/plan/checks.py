"""What no single block of params.yaml can know: names, and values that must go together. Nothing imports torch."""

import re

from mtlbench.plan import names
from mtlbench.plan.blocks import Experiment, Params
from mtlbench.plan.registry import split_kind
from mtlbench.plan.sources import check_source
from mtlbench.system.errors import ParamsError, nearest

_LABEL = re.compile(r"[a-z][a-z0-9_]*")


def check(params: Params) -> None:
    """Raises ParamsError naming the key, what was expected and what was found."""
    _check_names(params)
    for name, block in params.datasets.items():
        split_kind("datasets", name, block, f"datasets.{name}", extra=("source",))
        check_source(block.get("source"), f"datasets.{name}.source")
    for name, grid in params.grids.items():
        for label, block in grid.models.items():
            split_kind("models", label, block, f"grids.{name}.models.{label}")
        for label, block in grid.weightings.items():
            split_kind("weightings", label, block, f"grids.{name}.weightings.{label}")
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
            raise ParamsError(f"{where}: expected a name of lower-case letters, digits and _, found '{label}'")
    for name in params.experiments:
        if names.taken(name, params.experiments):
            raise ParamsError(f"experiments.{name}: the name is taken by a rule of the workflow; choose another")
    for name in params.run:
        if name not in params.experiments:
            raise ParamsError(f"run: unknown experiment '{name}'. {nearest(name, params.experiments)}")


def _check_experiment(params: Params, name: str, experiment: Experiment) -> None:
    where = f"experiments.{name}"
    if experiment.dataset not in params.datasets:
        raise ParamsError(
            f"{where}.dataset: unknown '{experiment.dataset}'. {nearest(experiment.dataset, params.datasets)}"
        )
    for label, block in experiment.models.items():
        split_kind("models", label, block, f"{where}.models.{label}")
    for label, block in experiment.weightings.items():
        if label.startswith(names.ONLY):
            raise ParamsError(f"{where}.weightings.{label}: labels with '{names.ONLY}' first name single-task runs")
        split_kind("weightings", label, block, f"{where}.weightings.{label}")
    for what in ("seeds", "tasks"):
        values = getattr(experiment, what)
        if len(set(values)) != len(values):
            raise ParamsError(f"{where}.{what}: expected different values, found {values}")
    if experiment.baseline is not None and experiment.baseline not in experiment.models:
        raise ParamsError(
            f"{where}.baseline: '{experiment.baseline}' is not one of its models. "
            f"{nearest(experiment.baseline, experiment.models)}"
        )
    last = experiment.protocol.last_epochs
    if last is not None and last > experiment.training.epochs:
        raise ParamsError(
            f"{where}.protocol.last_epochs: expected at most the {experiment.training.epochs} epochs of training, "
            f"found {last}"
        )
    gpus, processes = experiment.resources.gpu, experiment.training.processes
    if 0 < gpus < processes:
        raise ParamsError(
            f"{where}.resources.gpu: expected a GPU for each of the {processes} processes of training.processes (or 0 "
            f"for CPUs), found {gpus}"
        )
    augmentation = experiment.training.augmentation
    if augmentation is not None and min(augmentation.scales) < 1:
        raise ParamsError(
            f"{where}.training.augmentation.scales: expected values of at least 1, found {augmentation.scales}"
        )
