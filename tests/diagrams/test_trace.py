"""The recorded data flow of a model."""

import torch
from torch import Tensor, nn

from mtlbench.diagrams.trace import fold, trace
from mtlbench.models import Model


class Graph(Model):
    """conv, conv, conv; task b multiplies what a middle convolution gives with its own convolution's output."""

    def __init__(self) -> None:
        super().__init__({"a": 1, "b": 4})
        self.convolutions = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1))
        self.a = nn.Conv2d(4, 1, 1)
        self.b = nn.Conv2d(4, 4, 1)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        middle = self.convolutions[1](self.convolutions[0](image))
        last = self.convolutions[2](middle)
        return {"a": self.a(torch.cat([last.relu(), middle], 1)[:, 4:]), "b": self.b(last) * middle.permute(0, 1, 2, 3)}


def test_every_step_is_recorded_with_its_inputs() -> None:
    found = [(node.kind, node.name, node.inputs, node.shape) for node in trace(Graph(), (8, 6))]
    assert found == [
        ("image", "image", [], (3, 8, 6)),
        ("conv", "convolutions.0", [0], (4, 8, 6)),
        ("conv", "convolutions.1", [1], (4, 8, 6)),
        ("conv", "convolutions.2", [2], (4, 8, 6)),
        ("concat", "concat", [3, 2], (8, 8, 6)),
        ("conv", "a", [4], (1, 8, 6)),
        ("conv", "b", [3], (4, 8, 6)),
        ("times", "times", [6, 2], (4, 8, 6)),
        ("output", "a", [5], (1, 8, 6)),
        ("output", "b", [7], (4, 8, 6)),
    ]


def test_nodes_know_whom_they_serve_and_who_owns_them() -> None:
    nodes = {node.name: node for node in trace(Graph(), (8, 6))}
    assert nodes["concat"].serves == {"a"}
    assert nodes["convolutions.1"].serves == {"a", "b"}
    assert nodes["convolutions.1"].owners == {"a", "b"}
    assert nodes["times"].owners == frozenset()
    assert nodes["convolutions.0"].parameters == 3 * 4 + 4


def test_folding_joins_what_nobody_taps() -> None:
    nodes = fold(trace(Graph(), (8, 6)))
    assert [(node.name, node.repeats) for node in nodes if node.kind == "conv"] == [
        ("convolutions.0", 2), ("convolutions.2", 1), ("a", 1), ("b", 1),
    ]  # fmt: skip
    assert nodes[1].parameters == (3 * 4 + 4) + (4 * 4 + 4)
    assert [node.inputs for node in nodes] == [[], [0], [1], [2, 1], [3], [2], [5, 1], [4], [6]]
