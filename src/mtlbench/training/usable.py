"""Whether a saved state is this run's and fits it, before anything of it is put into the run."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mtlbench.training.state import FORMAT
from mtlbench.training.trainer import Trainer

_TYPES: dict[str, type | tuple[type, ...]] = {
    "format": int, "key": str, "cell": str, "data": dict, "segments": list, "epoch": int, "step": int, "seconds": float,
    "model": dict, "weighting": dict, "optimizer": dict, "meter": dict, "bad": Tensor, "rows": list,
    "best": (dict, type(None)),
}  # fmt: skip


def problem(trainer: Trainer, state: Any) -> str:
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
    except torch.OutOfMemoryError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
        return f"does not fit this network ({type(error).__name__}: {error})"


def _misfit(trainer: Trainer, state: Mapping[str, Any]) -> str:
    weights = trainer.model.state_dict()
    like = next(iter(trainer.model.parameters()))
    lazy = trainer.weighting.lazy_shapes(trainer.shared)
    late = {name: _form(*shape, dtype=like.dtype) for name, shape in lazy.items() if name in state["weighting"]}
    found = [
        _tensors("model", state["model"], weights),
        _tensors("weighting", state["weighting"], trainer.weighting.state_dict() | late),
        _tensors("sums", state["meter"], _sums(trainer, state)),
        _tensors("losses", {"bad": state["bad"]}, {"bad": trainer.bad}),
        _optimizer(trainer.optimizer, state["optimizer"]),
        _record(trainer, state),
    ]
    if state["best"] is not None:
        found.append(_tensors("best", state["best"]["model"], weights))
    return next((text for text in found if text), "")


def _form(*shape: int, dtype: torch.dtype) -> Tensor:
    """A tensor that has a shape and a type and nothing in it."""
    return torch.empty(shape, dtype=dtype, device="meta")


def _tensors(what: str, found: Mapping[str, Any], wanted: Mapping[str, Tensor]) -> str:
    """What differs between names, shapes and types of tensors, "" when nothing does."""
    if found.keys() != wanted.keys():
        return f"has other parts of the {what}: {', '.join(sorted(map(str, found.keys() ^ wanted.keys()))[:3])}"
    for name, right in wanted.items():
        value = found[name]
        if not isinstance(value, Tensor) or (value.shape, value.dtype) != (right.shape, right.dtype):
            form = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            return f"has {what} {name} as {form}, not {right.dtype} {tuple(right.shape)}"
    return ""


def _sums(trainer: Trainer, state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The form of an epoch's sums: none before its first step, and what a method logs is a single number."""
    if state["step"] == 0:
        return {}
    count = len(trainer.tasks)
    images = () if len(trainer.domains) == 1 else (count,)
    shapes: dict[str, tuple[int, ...]] = {"images": images, "steps": (), "losses": (count,), "weights": (count,)}
    batch = trainer.data.test_split.batch(torch.zeros(1, dtype=torch.int64))
    for name, task in trainer.tasks.items():
        if len(trainer.domains) > 1 and not any(key.startswith(f"{name}/") for key in state["meter"]):
            continue  # of a domain without a step in this epoch so far
        raw = batch["image"].new_zeros(task.output_shape(batch[name]))
        statistics = task.statistics(task.activate(raw), batch[name])
        shapes |= {f"{name}/{statistic}": tuple(value.shape[1:]) for statistic, value in statistics.items()}
    shapes |= {name: () for name in state["meter"] if name.startswith("log/")}
    return {name: _form(*shape, dtype=torch.float64) for name, shape in shapes.items()}


def _optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> str:
    """What is wrong with the optimiser's state: other parameters, options (but for the rate), or moments."""
    wanted, found = (
        [{**group, "lr": type(group["lr"])} for group in groups]
        for groups in (optimizer.state_dict()["param_groups"], state["param_groups"])
    )
    if repr(wanted) != repr(found):
        return "has other parameters or options of the optimizer"
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, moments in state["state"].items():
        if isinstance(optimizer, torch.optim.SGD):
            moments = {name: value for name, value in moments.items() if value is not None}
            form = dict.fromkeys(moments.keys() & {"momentum_buffer"}, parameters[index])
        else:
            form = {"exp_avg": parameters[index], "exp_avg_sq": parameters[index], "step": _form(dtype=torch.float32)}
        wrong = _tensors(f"moments of parameter {index}:", moments, form)
        if wrong:
            return wrong
    return ""


def _record(trainer: Trainer, state: Mapping[str, Any]) -> str:
    """What is wrong with the position, the record of the epochs so far, and what is told in the manifest."""
    epoch, step, rows, best = state["epoch"], state["step"], state["rows"], state["best"]
    if not (0 <= epoch <= trainer.training.epochs and 0 <= step <= len(trainer.steps_in(epoch)) and len(rows) == epoch):
        return f"is at epoch {epoch}, step {step} with {len(rows)} rows"
    columns = {f"train_loss_{task}" for task in trainer.tasks}
    columns |= {f"{split}_{task}_{name}" for split in trainer.recorded for task, names in trainer.metric_names.items()
                for name in names}  # fmt: skip
    numbers = all(isinstance(value, (int, float)) for row in rows for value in row.values())
    if not numbers or any(columns - row.keys() for row in rows):
        return "lacks numbers of its record"
    if (trainer.protocol.name == "held_out" and epoch > 0) != (best is not None and best["epoch"] in range(epoch)):
        return "does not fit the protocol"
    json.dumps([state["segments"], state["seconds"]], allow_nan=False)  # as the manifest will be written
    lacking = [part for part in state["segments"] or [{}] if not {"epoch", "step", "source"} <= part.keys()]
    return "lacks its segments" if lacking else ""
