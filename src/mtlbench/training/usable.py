"""Whether a saved state is this run's and fits it, before anything of it is put into the run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mtlbench.training.state import FORMAT

if TYPE_CHECKING:
    from mtlbench.training.loop import Trainer

_TYPES: dict[str, type | tuple[type, ...]] = {
    "format": int, "key": str, "cell": str, "data": dict, "segments": list, "epoch": int, "step": int, "seconds": float,
    "model": dict, "weighting": dict, "optimizer": dict, "meter": dict, "bad": Tensor, "rows": list,
    "best": (dict, type(None)),
}  # fmt: skip


def problem(trainer: "Trainer", state: Any) -> str:
    """Why a run that has not begun cannot go on from this state, as the end of a sentence; "" when it can."""
    if not isinstance(state, dict):
        return f"holds a {type(state).__name__} and no state"
    lacks = [name for name, kind in _TYPES.items() if not isinstance(state.get(name, ...), kind)]
    if lacks:
        return f"lacks {', '.join(lacks)}"
    if state["format"] != FORMAT:
        return f"has the form {state['format']}, this version reads {FORMAT}"
    mine = trainer.identity
    if state["key"] != mine.key:
        return f"belongs to another run ({state['cell']}, key {state['key']}, not {mine.key})"
    if state["data"] != mine.data:
        names = [name for name in sorted(mine.data) if state["data"].get(name) != mine.data[name]]
        return f"was trained on other data ({', '.join(names) or 'more arrays'})"
    try:
        return _misfit(trainer, state)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        return f"does not fit this network ({type(error).__name__}: {error})"


def _misfit(trainer: "Trainer", state: Mapping[str, Any]) -> str:
    weights = {name: value.shape for name, value in trainer.model.state_dict().items()}
    weighting = {name: value.shape for name, value in trainer.weighting.state_dict().items()}
    lazy = trainer.weighting.lazy_shapes(trainer.shared)
    weighting |= {name: torch.Size(shape) for name, shape in lazy.items() if name in state["weighting"]}
    found = [
        _tensors("model", state["model"], weights),
        _tensors("weighting", state["weighting"], weighting),
        _tensors("sums", state["meter"], _meter_shapes(trainer, state)),
        _tensors("losses", {"bad": state["bad"]}, {"bad": (len(trainer.tasks),)}),
        _optimizer(trainer.optimizer, state["optimizer"]),
        _record(trainer, state),
    ]
    if state["best"] is not None:
        found.append(_tensors("best", state["best"]["model"], weights))
    return next((text for text in found if text), "")


def _tensors(what: str, found: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]]) -> str:
    """What differs between names and shapes of tensors, "" when nothing does."""
    if found.keys() != wanted.keys():
        return f"has other parts of the {what}: {', '.join(sorted(found.keys() ^ wanted.keys())[:3])}"
    wrong = [name for name, shape in wanted.items() if tuple(found[name].shape) != tuple(shape)]
    return f"has {what} {wrong[0]} as {tuple(found[wrong[0]].shape)}, not {tuple(wanted[wrong[0]])}" if wrong else ""


def _meter_shapes(trainer: "Trainer", state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of an epoch's sums: none before its first step, and what a method logs is a single number."""
    if state["step"] == 0:
        return {}
    count = len(trainer.tasks)
    shapes: dict[str, tuple[int, ...]] = {"images": (), "steps": (), "losses": (count,), "weights": (count,)}
    batch = trainer.data.test_split.batch(torch.zeros(1, dtype=torch.int64))
    for name, task in trainer.tasks.items():
        raw = batch["image"].new_zeros(1, task.channels, *batch["image"].shape[-2:])
        statistics = task.statistics(task.activate(raw), batch[name])
        shapes |= {f"{name}/{statistic}": tuple(value.shape[1:]) for statistic, value in statistics.items()}
    return shapes | {name: () for name in state["meter"] if name.startswith("log/")}


def _optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> str:
    """What is wrong with the optimiser's state: every tensor is one number or has its parameter's shape."""
    groups = optimizer.state_dict()["param_groups"]
    names = [[*group["params"]] for group in state["param_groups"]]
    if names != [group["params"] for group in groups]:
        return "has other parameters in the optimizer"
    if any(group.keys() - other.keys() for group, other in zip(groups, state["param_groups"], strict=True)):
        return "lacks options of the optimizer"
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    kept = set() if isinstance(optimizer, torch.optim.SGD) else {"step", "exp_avg", "exp_avg_sq"}
    for index, values in state["state"].items():
        shapes = {(), tuple(parameters[index].shape)}
        tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
        wrong = {name for name, value in tensors.items() if tuple(value.shape) not in shapes} | (kept - values.keys())
        if wrong:
            return f"has another {', '.join(sorted(wrong))} in the optimizer"
    return ""


def _record(trainer: "Trainer", state: Mapping[str, Any]) -> str:
    """What is wrong with the position and the record of the epochs so far."""
    if not 0 <= state["epoch"] <= trainer.training.epochs or state["step"] < 0 or len(state["rows"]) != state["epoch"]:
        return f"is at epoch {state['epoch']}, step {state['step']} with {len(state['rows'])} rows"
    columns = {f"train_loss_{task}" for task in trainer.tasks}
    columns |= {f"{split}_{task}_{name}" for split in trainer.recorded for task, names in trainer.metric_names.items()
                for name in names}  # fmt: skip
    if any(columns - row.keys() for row in state["rows"]):
        return "lacks columns of its record"
    if (trainer.protocol.name == "held_out" and state["epoch"] > 0) != (state["best"] is not None):
        return "does not fit the protocol"
    lacking = [part for part in state["segments"] or [{}] if not {"epoch", "step", "source"} <= part.keys()]
    return "lacks its segments" if lacking else ""
