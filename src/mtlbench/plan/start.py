"""Towers that start as trained single-task networks of the same grid: ``start_from: LABEL`` in a model's block.

The papers of cross-stitch networks (Misra et al., CVPR 2016, section 4.2) and NDDR-CNN (Gao et al., CVPR 2019, section
3.2) train like this: one network for each task first, then all of them with what joins them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mtlbench.plan.registry import entry
from mtlbench.system.errors import ParamsError, nearest

KEY = "start_from"
#: Options that decide no shape; in all others both networks must be the same.
_FREE = {"dropout", "weights"}


@dataclass(frozen=True)
class SingleTaskRuns:
    """The single-task runs that a run needs: {task: (name below the experiment, key)}."""

    runs: Mapping[str, tuple[str, str]]


def of(block: Mapping[str, Any]) -> str:
    """The label of the single-task model that the block's towers start from; "" without one."""
    return str(block.get(KEY) or "")


def check(label: str, models: Mapping[str, Mapping[str, Any]], search: bool, where: str) -> None:
    """Raise ParamsError unless the model can start from a single-task model of the experiment."""
    block = models[label]
    if KEY not in block:
        return
    if not constants(label, block).get("towers"):
        raise ParamsError(f"{where}: the model has no towers that single-task networks could start; take it away")
    if block.get("batch_norm") not in (None, "shared"):
        raise ParamsError(
            f"{where}: expected batch_norm: shared, as in single-task networks, whose layers fill the towers"
        )
    if search:
        raise ParamsError(f"{where}: expected no {KEY} beside 'search', whose final runs have settings of their own")
    single = constants(label, block)["towers_of"]
    fit = [other for other, one in models.items() if one.get("kind", other) == single]
    if block[KEY] not in fit:
        remedy = nearest(str(block[KEY]), fit) if fit else "There is none: add it."
        raise ParamsError(
            f"{where}: expected the label of a '{single}' among the experiment's models, found {block[KEY]!r}. {remedy}"
        )
    _check_shapes(label, of(block), models, where)


def constants(label: str, block: Mapping[str, Any]) -> dict[str, Any]:
    """What the class of a model's block says in its body."""
    return entry("models", str(block.get("kind", label))).constants


def _check_shapes(label: str, single: str, models: Mapping[str, Mapping[str, Any]], where: str) -> None:
    known = {of: entry("models", str(models[of].get("kind", of))).options.model_fields for of in (label, single)}
    for name in sorted((known[label].keys() & known[single].keys()) - _FREE):
        mine, other = (models[of].get(name, known[of][name].default) for of in (label, single))
        if mine != other:
            raise ParamsError(f"{where}: '{single}' has {name} {other}, '{label}' has {mine}; expected the same")
