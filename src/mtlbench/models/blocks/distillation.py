"""Multi-modal distillation: a task's features plus messages from the other tasks' features, which a gate lets through.

Xu et al., CVPR 2018 (arXiv 1805.04409), section 3.3, module C: F'_t = F_t + sum over s != t of G * (W_st F_s), with
convolutions W of 3x3 without bias. In the paper G = sigmoid(V_t F_t) reads the target's features and is the same for
all sources; in the authors' later code and in MTI-Net G = sigmoid(V_st F_s) reads the source's.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn


class Gate(nn.Sequential):
    """What passes of a message, in [0, 1] for each channel and pixel: conv3x3 -> sigmoid."""

    diagram: ClassVar[str] = "mask"

    def __init__(self, channels: int) -> None:
        super().__init__(_conv(channels), nn.Sigmoid())


class Messages(nn.Module):
    """Features {task: (N, channels, h, w)} of all tasks -> those of ``target`` with the messages of all others.

    ``gate``: "target" (one for all messages) or "source" (one for each).
    """

    diagram: ClassVar[str] = "mix"

    def __init__(self, target: str, tasks: Iterable[str], channels: int, gate: str) -> None:
        super().__init__()
        sources = [task for task in tasks if task != target]
        self.target = target
        self.convs = nn.ModuleDict({source: _conv(channels) for source in sources})
        self.gate = Gate(channels) if gate == "target" and sources else None
        self.gates = nn.ModuleDict({source: Gate(channels) for source in sources} if gate == "source" else {})

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        own = features[self.target]
        passing = None if self.gate is None else self.gate(own)
        total = own
        for source, conv in self.convs.items():
            part = self.gates[source](features[source]) if passing is None else passing
            total = total + part * conv(features[source])
        return total


class MessagesByScale(nn.ModuleList):
    """:class:`Messages` to ``target`` at several resolutions, ``channels`` of each: lists of features in and out."""

    diagram: ClassVar[str] = "mix"

    def __init__(self, target: str, tasks: Iterable[str], channels: Iterable[int], gate: str) -> None:
        tasks = tuple(tasks)
        super().__init__(Messages(target, tasks, count, gate) for count in channels)

    def forward(self, features: Sequence[Mapping[str, Tensor]]) -> list[Tensor]:
        return [messages(found) for messages, found in zip(self, features, strict=True)]


def _conv(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=1, bias=False)
