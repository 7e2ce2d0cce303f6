"""The data flow of a model's forward pass, recorded from the module itself: what the diagrams draw."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree

from mtlbench.models import Model, meta_twin, parameter_owners

#: Names of modules of other libraries, by their class, which is not imported: torchvision takes seconds to start.
#: Our own modules say theirs in ``diagram``.
FOREIGN = {
    "torchvision.models.resnet.BasicBlock": "block", "torchvision.models.resnet.Bottleneck": "block",
    "torch.nn.modules.conv.Conv2d": "conv", "torch.nn.modules.linear.Linear": "linear",
    "torch.nn.modules.pooling.MaxPool2d": "pool",
    "torch.nn.modules.normalization.LayerNorm": "layer_norm",
    "torchvision.models.swin_transformer.SwinTransformerBlock": "window",
    "torchvision.models.swin_transformer.PatchMerging": "merge",
}  # fmt: skip
#: Kinds whose maps have the channels last.
CHANNELS_LAST = ("layer_norm", "window", "merge")
#: Operations between modules that are worth a node; all others only pass their first tensor on.
OPERATIONS = {"mul": "times", "add": "plus", "addcmul": "plus", "cat": "concat", "matmul": "times"}


@dataclass
class Node:
    """One step of a forward pass: a call of a module, an operation, the image or a task's output."""

    kind: str
    name: str
    inputs: list[int]
    #: Numbers of those ``inputs`` that only tell positions (of the maxima).
    positions: set[int] = field(default_factory=set)
    #: Channels, height and width of the (first) output.
    shape: tuple[int, ...] = ()
    parameters: int = 0
    #: The tasks whose losses reach the node's parameters.
    owners: frozenset[str] = frozenset()
    #: The tasks whose outputs depend on the node.
    serves: set[str] = field(default_factory=set)
    #: How many equal steps in a row the node stands for.
    repeats: int = 1


def trace(model: Model, size: tuple[int, int]) -> list[Node]:
    """The steps of a forward pass of one image of ``size`` (height, width), each after its inputs.

    Runs on meta tensors: no arithmetic. Node 0 is the image; the last nodes are the outputs, one per task.
    """
    twin = meta_twin(model).eval()
    recorder = _Recorder(twin, parameter_owners(model))
    image = torch.empty(1, 3, *size, device="meta")
    with torch.no_grad(), recorder.listening(), recorder:
        recorder.add("image", "image", (), image)
        outputs = twin(image)
    for task, output in outputs.items():
        recorder.add("output", task, output, output, owners=frozenset([task]))
    nodes = recorder.nodes
    for node in reversed(nodes):
        node.serves |= {node.name} if node.kind == "output" else set()
        for number in node.inputs:
            nodes[number].serves |= node.serves
    return nodes


class _Recorder(TorchFunctionMode):
    """Turns module calls (by hooks) and operations between them (as a function mode) into nodes."""

    def __init__(self, model: Model, owners: dict[str, frozenset[str]]) -> None:
        super().__init__()
        self.model = model
        self.owners = owners
        self.nodes: list[Node] = []
        self._producer: dict[int, int] = {}
        self._alive: list[Any] = []  # an id stays unique while its tensor lives
        self._inside = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Record calls of modules that have a name for diagrams; what happens inside them is not looked at."""
        handles = []
        for path, module in self.model.named_modules():
            found = type(module)
            kind = getattr(module, "diagram", None) or FOREIGN.get(f"{found.__module__}.{found.__qualname__}")
            if kind is not None:
                handles.append(module.register_forward_pre_hook(self._enter))
                handles.append(module.register_forward_hook(self._leaver(path, kind)))
        yield
        for handle in handles:
            handle.remove()

    def _enter(self, module: nn.Module, inputs: Any) -> None:
        self._inside += 1

    def _leaver(self, path: str, kind: str) -> Any:
        def leave(module: nn.Module, inputs: Any, outputs: Any) -> None:
            self._inside -= 1
            if self._inside == 0:
                names = [f"{path}.{name}" for name, _ in module.named_parameters()]
                owners = frozenset().union(*(self.owners[name] for name in names))
                count = sum(parameter.numel() for parameter in module.parameters())
                self.add(kind, path, inputs, outputs, parameters=count, owners=owners)

        return leave

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if self._inside == 0:
            sources = self._sources(args)
            kind = OPERATIONS.get(getattr(function, "__name__", ""))
            if kind is not None and len(sources) > 1:
                self.add(kind, kind, args, result)
            elif sources:
                self._remember(result, sources[0])
        return result

    def add(self, kind: str, name: str, inputs: Any, outputs: Any, **more: Any) -> None:
        """A new node that reads the tensors in ``inputs`` and makes those in ``outputs``."""
        first = _tensors(outputs)[0]
        shape = tuple(first.shape[1:])
        shape = (shape[-1], *shape[:-1]) if kind in CHANNELS_LAST else shape
        node = Node(kind, name, self._sources(inputs), shape=shape, **more)
        values = [t for t in _tensors(inputs) if t.dtype != torch.uint8]
        node.positions = set(node.inputs) - set(self._sources(values))
        self.nodes.append(node)
        self._remember(outputs, len(self.nodes) - 1)

    def _sources(self, values: Any) -> list[int]:
        """The nodes that made the tensors in ``values``, each once; parameters and constants have none."""
        return list(dict.fromkeys(self._producer[id(t)] for t in _tensors(values) if id(t) in self._producer))

    def _remember(self, values: Any, node: int) -> None:
        for tensor in _tensors(values):
            self._alive.append(tensor)
            self._producer.setdefault(id(tensor), node)


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in _pytree.tree_leaves(values) if isinstance(leaf, Tensor)]


def fold(nodes: list[Node]) -> list[Node]:
    """The same graph with runs of equal steps joined: conv, conv, conv of one size become one node, three times."""
    readers: dict[int, int] = {}
    for node in nodes:
        for number in node.inputs:
            readers[number] = readers.get(number, 0) + 1
    folded: list[Node] = []
    place: dict[int, int] = {}
    for number, node in enumerate(nodes):
        before = node.inputs[0] if len(node.inputs) == 1 else None
        last = folded[place[before]] if before is not None else None
        same = last is not None and (last.kind, last.shape, last.owners) == (node.kind, node.shape, node.owners)
        if same and readers[before] == 1 and node.kind in ("conv", "block", "window"):
            last.repeats += 1
            last.parameters += node.parameters
            place[number] = place[before]
            continue
        place[number] = len(folded)
        node.inputs = [place[source] for source in node.inputs]
        node.positions = {place[source] for source in node.positions}
        folded.append(node)
    return folded
