"""A second phase of training without some domains: ``training.second_phase``.

Liu et al., CVPR 2019 (arXiv 1803.10704) train the Visual Decathlon so: all domains, then all but ImageNet at a lower
rate.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from mtlbench.plan.block import Block


class SecondPhase(Block):
    """The last epochs of a run: some domains are no longer trained, and the learning rate is a constant."""

    epochs: Annotated[
        int, Field(ge=1, description="how many of training.epochs, the last ones, are of the second phase")
    ]
    learning_rate: Annotated[float, Field(gt=0, description="learning rate of the second phase, a constant")]
    without: Annotated[list[str], Field(description="domains that are not trained in the second phase")]


def problem(phase: SecondPhase, tasks: Sequence[str], epochs: int, domains: str | None, search: bool) -> str:
    """Why the experiment cannot have this phase, as what follows the key in a message; "" when it can."""
    left = [task for task in tasks if task not in phase.without]
    unknown = [name for name in phase.without if name not in tasks]
    if domains is None:
        return ": expected null without training.domains, because without domains there is none to leave out"
    if search:
        return ": expected null beside 'search', whose trials have epochs of their own"
    if unknown:
        return f".without: expected domains among the tasks {', '.join(tasks)}, found {unknown[0]!r}"
    if not phase.without or not left or len(set(phase.without)) != len(phase.without):
        return f".without: expected some of the tasks, each once, and not all of them, found {phase.without}"
    if phase.epochs >= epochs:
        return f".epochs: expected fewer than training.epochs, {epochs} of both phases, found {phase.epochs}"
    return ""


def of_tasks(training: Mapping[str, Any], tasks: Sequence[str]) -> dict[str, Any]:
    """The training settings in the spec of a run of these tasks: a network of left-out domains alone ends before.

    A run of other single domains leaves none out, and has the lower rate.
    """
    phase = training.get("second_phase")
    if phase is None:
        return dict(training)
    without = [name for name in phase["without"] if name in tasks]
    if len(without) == len(tasks):
        rest = {name: value for name, value in training.items() if name != "second_phase"}
        return {**rest, "epochs": training["epochs"] - phase["epochs"]}
    return {**training, "second_phase": {**phase, "without": without}}
