"""Which weightings a model is trained with: all of its experiment, or those in its block: ``weightings: [equal, dwa]``.

Tables of papers are seldom full products: networks are compared under a few weightings, weightings on one network.
"""

from collections.abc import Mapping
from typing import Any

from mtlbench.plan import frozen
from mtlbench.plan.registry import entry
from mtlbench.system.errors import ParamsError, nearest

KEY = "weightings"


def of(block: Mapping[str, Any], weightings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The labels of the weightings that the model of this block is trained with, in the experiment's order."""
    return [label for label in weightings if label in block.get(KEY, weightings)]


def check(models: Mapping[str, Mapping[str, Any]], weightings: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Raise ParamsError unless every list names weightings of the experiment, and each of them has a model."""
    used: set[str] = set()
    for label, block in models.items():
        single = entry("models", str(block.get("kind", label))).constants.get("single_task", False)
        if KEY in block:
            _check_list(block[KEY], single, weightings, f"{where}.models.{label}.{KEY}")
        used.update([] if single else of(block, weightings))
    if listed := [label for label, block in models.items() if KEY in block]:
        for weighting in weightings:
            if weighting not in used:
                raise ParamsError(
                    f"{where}.weightings.{weighting}: no model is trained with it; add it to "
                    f"models.{listed[0]}.{KEY}, or take it away"
                )


def _check_list(value: Any, single: bool, weightings: Mapping[str, Mapping[str, Any]], where: str) -> None:
    if single:
        raise ParamsError(f"{where}: a single-task model has one loss and nothing to weight; take it away")
    if not isinstance(value, list) or not value or not all(isinstance(label, str) for label in value):
        raise ParamsError(f"{where}: expected a list of labels of the experiment's weightings, found {value!r}")
    for label in value:
        if label not in weightings:
            raise ParamsError(f"{where}: unknown weighting '{label}'. {nearest(label, weightings)}")
        if value.count(label) > 1:
            raise ParamsError(f"{where}: expected every label once, found '{label}' {value.count(label)} times")
        other = frozen.of(weightings[label])
        if other and other not in value:
            raise ParamsError(
                f"{where}: '{label}' takes the mean weights of '{other}', which is not in the list; add it"
            )
