"""Feature propagation: what all tasks' features at one resolution tell each task at the next finer one.

Vandenhende et al., ECCV 2020 (arXiv 2001.06902), section 3.4. Parts that read the concatenation of all tasks' features
keep their weights in pieces, one for each task, so that a checkpoint does not depend on the order of the tasks.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

#: How many times fewer channels squeeze-and-excitation has inside.
REDUCTION = 16


class JointConvolution(nn.Module):
    """{task: (N, channels, h, w)} -> a convolution, without bias, of their concatenation: (N, outputs, h, w)."""

    def __init__(self, tasks: Iterable[str], channels: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        whole = nn.Conv2d(channels * len(self.tasks), outputs, kernel, bias=False).weight.detach()
        pieces = zip(self.tasks, whole.chunk(len(self.tasks), 1), strict=True)
        self.pieces = nn.ParameterDict({task: piece.clone() for task, piece in pieces})
        self.padding = kernel // 2

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        whole = torch.cat([self.pieces[task] for task in self.tasks], 1)
        return F.conv2d(torch.cat([features[task] for task in self.tasks], 1), whole, padding=self.padding)


class JointBlock(nn.Module):
    """A BasicBlock with a projected shortcut that reads the concatenation of all tasks' features."""

    diagram: ClassVar[str] = "block"

    def __init__(self, tasks: Iterable[str], channels: int, outputs: int) -> None:
        super().__init__()
        tasks = tuple(tasks)
        self.conv1 = JointConvolution(tasks, channels, outputs, 3)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = JointConvolution(tasks, channels, outputs, 1)
        self.bn_shortcut = nn.BatchNorm2d(outputs)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        x = F.relu(self.bn1(self.conv1(features)), inplace=True)
        return F.relu(self.bn2(self.conv2(x)) + self.bn_shortcut(self.shortcut(features)), inplace=True)


class Excitation(nn.Module):
    """Squeeze-and-excitation (Hu et al., CVPR 2018): each channel times a factor in [0, 1] from all channels' means."""

    def __init__(self, channels: int, reduction: int = REDUCTION) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, max(1, channels // reduction))
        self.excite = nn.Linear(max(1, channels // reduction), channels)

    def forward(self, x: Tensor) -> Tensor:
        factors = self.excite(F.relu(self.squeeze(x.mean((2, 3))))).sigmoid()
        return x * factors[..., None, None]


class FeaturePropagation(nn.Module):
    """Features {task: (N, channels, h, w)} -> for each task its own plus what it takes of all, the same shape.

    Residual blocks on the concatenation give scores of every task, channel and pixel; their softmax over the tasks
    masks the features, a residual block makes C channels of all of them, and each task excites those channels that it
    needs. Departure: the softmax of the authors' code runs over T neighbouring channels, mostly of one task.
    """

    diagram: ClassVar[str] = "mix"

    def __init__(self, tasks: Iterable[str], channels: int) -> None:
        super().__init__()
        tasks = tuple(tasks)
        hidden = max(1, len(tasks) * channels // 4)
        self.joint = JointBlock(tasks, channels, hidden)
        self.hidden = BasicBlock(hidden, hidden)
        self.scores = nn.ModuleDict({task: nn.Conv2d(hidden, channels, 1) for task in tasks})
        self.reduce = JointBlock(tasks, channels, channels)
        self.excite = nn.ModuleDict({task: Excitation(channels) for task in tasks})

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        hidden = self.hidden(self.joint(features))
        masks = torch.stack([conv(hidden) for conv in self.scores.values()]).softmax(0)
        masked = {task: mask * features[task] for task, mask in zip(self.scores, masks, strict=True)}
        shared = self.reduce(masked)
        return {task: excite(shared) + features[task] for task, excite in self.excite.items()}
