"""Whether the models, weightings and settings of an experiment suit its data: maps or classes, one domain or several.

Nothing imports torch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mtlbench.plan import frozen, phases
from mtlbench.plan.blocks import Experiment, Training
from mtlbench.plan.registry import entries, entry
from mtlbench.system.errors import ParamsError


def check_model(kind: str, tasks: Mapping[str, Mapping[str, Any]], wanted: Sequence[str], where: str) -> None:
    """Raise ParamsError unless the model predicts what the tasks are: a value for every pixel, or a class."""
    found = entry("models", kind).constants.get("predicts", "maps")
    for name in wanted:
        needed = _task_constants(name, tasks[name]).get("predicts", "maps")
        if needed != found:
            fit = [other for other, one in entries("models").items() if one.constants.get("predicts", "maps") == needed]
            raise ParamsError(
                f"{where}: '{kind}' predicts {found}, but the task '{name}' is about {needed}; models for it: "
                f"{', '.join(fit) or 'none'}"
            )


def with_norms(options: Mapping[str, Any], domains: bool, started: bool, where: str) -> dict[str, Any]:
    """A model's options with ``batch_norm`` as it is chosen, or as suits the data where it is null.

    ``started``: its towers start from single-task networks, which have one for all. Raises ParamsError for BatchNorm
    layers of domains where all tasks share their images.
    """
    if "batch_norm" not in options:
        return dict(options)
    chosen = options["batch_norm"] or ("statistics" if domains and not started else "shared")
    if not domains and chosen != "shared":
        raise ParamsError(
            f"{where}.batch_norm: expected shared, because all tasks of the data share their images; found "
            f"'{chosen}', which is for batches of one domain"
        )
    return {**options, "batch_norm": chosen}


def check_domains(experiment: Experiment, domains: bool, where: str) -> None:
    """Raise ParamsError when settings do not suit data of one or several domains (``Dataset.domains``).

    With several tasks the batches of several domains must be arranged somehow; a weighting that compares the losses of
    a step needs all of them.
    """
    training = experiment.training
    phase = training.second_phase
    if phase is not None:
        wrong = phases.problem(
            phase, experiment.tasks, training.epochs, training.domains, experiment.search is not None
        )
        if wrong:
            raise ParamsError(f"{where}.training.second_phase{wrong}")
    if not domains:
        if training.domains is not None:
            raise ParamsError(
                f"{where}.training.domains: expected null, because all tasks of '{experiment.dataset}' share their "
                f"images; found {training.domains}"
            )
        return
    several = len(experiment.tasks) > 1
    if several and training.domains is None:
        raise ParamsError(
            f"{where}.training.domains: expected together, interleaved or in_turn, because each task of "
            f"'{experiment.dataset}' has images of its own; found null"
        )
    if training.processes > 1:
        raise ParamsError(f"{where}.training.processes: expected 1 with domains, found {training.processes}")
    if not several:
        return
    for label, given in experiment.weightings.items():
        block = frozen.written(given)
        _check_weighting(block.get("kind", label), block, training, f"{where}.weightings.{label}")


def _check_weighting(kind: str, options: Mapping[str, Any], training: Training, where: str) -> None:
    constants = entry("weightings", kind).constants
    if constants.get("wants_held_out", False):
        raise ParamsError(f"{where}: '{kind}' needs held-out images of all tasks together, and domains share none")
    every = [name for name in constants.get("compares_losses_with", ()) if options.get(name)]
    if training.second_phase is not None and (
        every or constants.get("compares_losses", True) or constants.get("compares_epochs", False)
    ):
        raise ParamsError(
            f"{where}: '{kind}' needs the losses of all tasks, and training.second_phase leaves some out; take equal "
            "or static, or no second phase"
        )
    if training.domains == "together" or (not constants.get("compares_losses", True) and not every):
        return
    fit = [name for name, one in entries("weightings").items() if not one.constants.get("compares_losses", True)]
    with_option = f" with {every[0]}" if every else ""
    raise ParamsError(
        f"{where}: '{kind}'{with_option} compares the losses of all tasks in a step, but training.domains "
        f"{training.domains} has one of them in each step; set it to together, or take {' or '.join(fit)}"
    )


def _task_constants(name: str, description: Mapping[str, Any]) -> Mapping[str, Any]:
    found: dict[str, Any] = entry("tasks", description.get("kind", name)).constants
    return found
