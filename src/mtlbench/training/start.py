"""A network's first weights from trained single-task networks (plan/start.py)."""

import safetensors.torch
import torch
from torch import Tensor

from mtlbench.models import Model
from mtlbench.plan import places
from mtlbench.plan.grid import Cell
from mtlbench.runs.manifest import Manifest
from mtlbench.runs.store import WEIGHTS
from mtlbench.system.errors import DamagedError, DataError, ParamsError


def start(model: Model, cell: Cell) -> dict[str, str]:
    """Copy the trained networks of ``cell.starts`` into the towers of ``model``; {task: SHA-256 of its weights' file}.

    What joins the towers keeps its own first weights. Raises DataError when a network is not there, DamagedError when
    it is not what its manifest says, ParamsError when it does not fit.
    """
    found = {}
    for task, manifest in cell.starts.items():
        assert cell.start is not None
        path = places.weights(f"{cell.experiment}/{cell.start.runs[task][0]}") / WEIGHTS[0]
        output = Manifest.read(manifest).outputs[WEIGHTS[0]]
        if not path.is_file():
            raise DataError(
                f"{cell.path}: it starts from the network {path}, which is not there. Let DVC fetch it, or make it "
                f"again with `mtlbench train --again {cell.experiment}/{cell.start.runs[task][0]}`."
            )
        if wrong := output.problem(path):
            raise DamagedError(path, wrong)
        place(model, task, safetensors.torch.load_file(path), str(path))
        found[task] = output.sha256
    return found


@torch.no_grad()
def place(model: Model, task: str, state: dict[str, Tensor], where: str) -> None:
    """Put a trained single-task network's state into the task's tower; ParamsError unless all of it has a place."""
    own = model.state_dict()
    targets = {name: _place(model, task, name) for name in state}
    towers = {name for name in own for part, _ in model.towers if name.startswith(f"{part}.{task}.")}
    wrong = sorted(
        {name for name, target in targets.items() if target not in own or own[target].shape != state[name].shape}
        | (towers - set(targets.values()))
    )
    if wrong:
        raise ParamsError(
            f"start_from: expected in {where} the network of one tower of {type(model).__name__}; {len(wrong)} tensors "
            f"are missing, unknown or of another shape, the first is '{wrong[0]}'. Give both models the same options."
        )
    for name, value in state.items():
        own[targets[name]].copy_(value)


def _place(model: Model, task: str, name: str) -> str:
    """The name in ``model`` of a tensor of the single-task network; "" when there is none."""
    for part, single in model.towers:
        own = single.replace("{task}", task) + "."
        if name.startswith(own):
            return f"{part}.{task}.{name.removeprefix(own)}"
    return ""
