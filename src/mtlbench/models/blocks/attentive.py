"""Layers that every task modulates in its own way, of Attentive Single-Tasking of Multiple Tasks.

Maninis et al., CVPR 2019 (arXiv 1904.08918), section 3: a convolution is the same for all tasks; a task adds a 1x1
convolution of its own beside it (a parallel residual adapter), normalises with its own BatchNorm, and excites the
channels that it needs (squeeze-and-excitation). A forward pass is of one task.
"""

from collections.abc import Iterable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtlbench.models.blocks.normalize import Normalize
from mtlbench.models.blocks.propagation import Excitation
from mtlbench.models.blocks.resize import Bilinear

#: Dilations of the three atrous convolutions, for output stride 16.
RATES = (6, 12, 18)
#: How many times fewer channels squeeze-and-excitation has inside; of the low-level features of the decoder.
REDUCTION, REDUCTION_LOW = 16, 4


class CommonStem(nn.Sequential):
    """(N, 3, H, W) with values in [0, 1] -> (N, outputs, H/4, W/4), the same for all tasks."""

    diagram: ClassVar[str] = "stem"

    def __init__(self, outputs: int) -> None:
        convolution = nn.Conv2d(3, outputs, 7, 2, 3, bias=False)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        norm = nn.BatchNorm2d(outputs)
        super().__init__(Normalize(), convolution, norm, nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))


class Modulated(nn.Module):
    """conv (+ the task's adapter, a conv1x1) -> the task's BatchNorm -> ReLU where ``relu`` -> the task's excitation.

    (N, inputs, H, W) -> (N, outputs, H / stride, W / stride). ``reduction``: of the excitation; 0 for none. An adapter
    starts as 0, so that all tasks start with the same convolutions.
    """

    diagram: ClassVar[str] = "conv"

    def __init__(
        self,
        tasks: Iterable[str],
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        dilation: int = 1,
        adapted: bool = False,
        relu: bool = True,
        reduction: int = 0,
    ) -> None:
        super().__init__()
        tasks = tuple(tasks)
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        self.adapters = nn.ModuleDict({task: nn.Conv2d(inputs, outputs, 1, bias=False) for task in tasks if adapted})
        for adapter in self.adapters.values():
            nn.init.zeros_(adapter.weight)
        self.norms = nn.ModuleDict({task: nn.BatchNorm2d(outputs) for task in tasks})
        self.excite = nn.ModuleDict({task: Excitation(outputs, reduction) for task in tasks if reduction})
        self.relu = relu

    def forward(self, x: Tensor, task: str) -> Tensor:
        y = self.conv(x)
        if self.adapters:
            y = y + self.adapters[task](x)
        y = self.norms[task](y)
        if self.relu:
            y = F.relu(y)
        return self.excite[task](y) if self.excite else y


class ModulatedBottleneck(nn.Module):
    """A Bottleneck block (N, inputs, H, W) -> (N, 4 x planes, H / stride, W / stride), excited before the sum.

    conv1x1 (with the stride) -> conv3x3 with adapters -> conv1x1, plus the shortcut, which is projected where
    channels or resolution change; ReLU.
    """

    diagram: ClassVar[str] = "block"

    def __init__(self, tasks: Iterable[str], inputs: int, planes: int, stride: int, dilation: int) -> None:
        super().__init__()
        tasks, outputs = tuple(tasks), 4 * planes
        self.conv1 = Modulated(tasks, inputs, planes, stride=stride)
        self.conv2 = Modulated(tasks, planes, planes, 3, dilation=dilation, adapted=True)
        self.conv3 = Modulated(tasks, planes, outputs, relu=False, reduction=REDUCTION)
        changed = stride != 1 or inputs != outputs
        self.shortcut = Modulated(tasks, inputs, outputs, stride=stride, relu=False) if changed else None

    def forward(self, x: Tensor, task: str) -> Tensor:
        y = self.conv3(self.conv2(self.conv1(x, task), task), task)
        return F.relu(y + (x if self.shortcut is None else self.shortcut(x, task)))


class ModulatedDecoder(nn.Module):
    """The decoder of DeepLabv3+ (Chen et al., ECCV 2018) with modulated layers: features (N, channels, H/4, W/4).

    An atrous pyramid of the high-level features (N, high, H/16, W/16), enlarged, beside 3/16 as many channels of the
    low-level ones (N, low, H/4, W/4); two conv3x3. Image-level features have no adapter.
    """

    def __init__(self, tasks: Iterable[str], low: int, high: int, channels: int) -> None:
        super().__init__()
        tasks, few = tuple(tasks), max(4, round(3 * channels / 16))
        own = {"adapted": True, "reduction": REDUCTION}
        atrous = [Modulated(tasks, high, channels, 3, dilation=rate, **own) for rate in RATES]
        self.branches = nn.ModuleList([Modulated(tasks, high, channels, **own), *atrous])
        self.image = Modulated(tasks, high, channels, reduction=REDUCTION)
        self.project = Modulated(tasks, 5 * channels, channels, **own)
        self.low = Modulated(tasks, low, few, adapted=True, reduction=REDUCTION_LOW)
        self.joined = Modulated(tasks, channels + few, channels, 3, **own)
        self.hidden = Modulated(tasks, channels, channels, 3, **own)
        self.enlarge = Bilinear()

    def forward(self, low: Tensor, high: Tensor, task: str) -> Tensor:
        parts = [branch(high, task) for branch in self.branches]
        level = self.image(high.mean((2, 3), keepdim=True), task).expand_as(parts[0])
        pyramid = self.project(torch.cat([*parts, level], 1), task)
        low = self.low(low, task)
        joined = torch.cat([self.enlarge(pyramid, (low.shape[-2], low.shape[-1])), low], 1)
        return self.hidden(self.joined(joined, task), task)
