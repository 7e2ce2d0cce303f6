"""The last features of each task: what the last linear layers in front of its output read, in any network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mtlbench.models._base import Model, meta_outputs, meta_twin
from mtlbench.system.errors import ParamsError

_LINEAR = (nn.Conv2d, nn.Linear)


@dataclass(frozen=True)
class LastLayer:
    """The layer that reads a task's last features: its path in the network, and the channels of what it reads."""

    path: str
    channels: int


@dataclass(frozen=True)
class _Call:
    """A call of a linear layer: which, and the node of autograd's graph that made its input."""

    layer: LastLayer
    source: Any


class LastFeatures:
    """Keeps the last features of each task of ``model`` from each forward pass in training.

    ``channels`` is {task: number of them}. Networks with a layer in front of a task's output that is neither a
    convolution nor linear, or that other tasks use too, raise ParamsError.
    """

    def __init__(self, model: Model) -> None:
        layers = last_layers(model)
        self.channels: Mapping[str, int] = {task: layer.channels for task, layer in layers.items()}
        self._kept: dict[str, Tensor] = {}
        for task, layer in layers.items():
            model.get_submodule(layer.path).register_forward_pre_hook(_keeper(self._kept, task))

    def take(self) -> dict[str, Tensor]:
        """{task: (n, channels)}, means over the pixels of each image of the last pass, with their graph; only once."""
        kept = {task: self._kept.pop(task) for task in self.channels}
        pooled = {id(maps): _pooled(maps) for maps in kept.values()}  # tasks that read the same features: once
        return {task: pooled[id(maps)] for task, maps in kept.items()}


def last_layers(model: Model) -> dict[str, LastLayer]:
    """The layer that reads each task's last features: {task: layer}; errors as for :class:`LastFeatures`.

    Of convolutions and linear layers that follow each other without anything between them, which are one linear map,
    it is the first. Found by a forward pass on meta tensors, as :func:`parameter_owners` finds what is shared.
    """
    twin = meta_twin(model).train()
    calls: dict[Any, _Call] = {}
    for path, module in twin.named_modules():
        if isinstance(module, _LINEAR):
            module.register_forward_hook(_listener(calls, path))
    outputs = meta_outputs(twin)
    found = {task: _first(calls, _last_call(calls, outputs[task], type(model).__name__, task)) for task in model.tasks}
    used = [call.layer.path for call in calls.values()]
    for task, layer in found.items():
        if used.count(layer.path) > 1:
            raise ParamsError(
                f"{type(model).__name__}: expected a last layer of the task '{task}' that is used once in a pass, but "
                f"'{layer.path}' is used {used.count(layer.path)} times; its last features cannot be told apart"
            )
    return found


def _listener(calls: dict[Any, _Call], path: str) -> Callable[..., None]:
    def listen(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        channels = module.in_channels if isinstance(module, nn.Conv2d) else module.in_features
        assert isinstance(channels, int)
        calls[output.grad_fn] = _Call(LastLayer(path, channels), inputs[0].grad_fn)

    return listen


def _last_call(calls: dict[Any, _Call], output: Tensor, model: str, task: str) -> _Call:
    """The first call on the way back from an output, breadth first."""
    waiting, seen = [output.grad_fn], set()
    while waiting:
        node = waiting.pop(0)
        if node is None or node in seen:
            continue
        seen.add(node)
        if node in calls:
            return calls[node]
        following = [other for other, _ in node.next_functions]
        if any(hasattr(other, "variable") for other in following):  # a parameter
            break
        waiting += following
    raise ParamsError(
        f"{model}: expected a convolution (Conv2d) or linear layer as the last one with parameters in front of the "
        f"output of '{task}', found none; its last features cannot be read"
    )


def _first(calls: dict[Any, _Call], call: _Call) -> LastLayer:
    while call.source in calls:
        call = calls[call.source]
    return call.layer


def _keeper(kept: dict[str, Tensor], task: str) -> Callable[..., None]:
    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if module.training and torch.is_grad_enabled():
            kept[task] = inputs[0]

    return keep


def _pooled(features: Tensor) -> Tensor:
    """Maps (n, C, h, w), or features (n, C) or (n, positions, C) of a linear layer -> (n, C), at least float32."""
    dtype = torch.promote_types(features.dtype, torch.float32)
    if features.dim() == 2:
        return features.to(dtype)
    return features.mean((2, 3) if features.dim() == 4 else 1, dtype=dtype)
