"""Attentive single-tasking: one SE-ResNet with a DeepLabv3+ decoder, run once for each task in the task's own way."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from mtlbench.models import Model
from mtlbench.models.blocks.attentive import CommonStem, ModulatedBottleneck, ModulatedDecoder
from mtlbench.models.blocks.resize import Bilinear
from mtlbench.plan.options import Width

#: Blocks of the four layers.
BLOCKS = {26: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class ResNetASTMT(Model):
    """ASTMT: all convolutions shared, adapters, BatchNorm and excitation of each task; output stride 16.

    Layers and reductions as in the authors' code. Left out: the adversarial loss on the tasks' gradients, which would
    be a loss of the network and not of a task.
    """

    family = "resnet"
    display = "ASTMT (SE-ResNet)"
    paper = "Maninis et al., CVPR 2019 (arXiv 1904.08918)"
    paper_title = "Attentive Single-Tasking of Multiple Tasks"
    size_multiple = 16
    smallest_batch = 2

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        depth: Annotated[Literal[26, 50, 101], Field(description="layers of the SE-ResNet")] = 50,
        width: Width = 1.0,
    ) -> None:
        super().__init__(tasks)
        inputs = _scaled(64, width)
        self.stem = CommonStem(inputs)
        self.layers = nn.ModuleList()
        for number, count in enumerate(BLOCKS[depth]):
            planes, blocks = _scaled(64 * 2**number, width), nn.ModuleList()
            for block in range(count):
                stride = 2 if block == 0 and number in (1, 2) else 1
                blocks.append(ModulatedBottleneck(self.tasks, inputs, planes, stride, 2 if number == 3 else 1))
                inputs = 4 * planes
            self.layers.append(blocks)
        channels = _scaled(256, width)
        self.decoder = ModulatedDecoder(self.tasks, 4 * _scaled(64, width), inputs, channels)
        self.outputs = nn.ModuleDict({task: nn.Conv2d(channels, count, 1) for task, count in self.tasks.items()})
        self.enlarge = Bilinear()

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        stem = self.stem(image)
        return {task: self.enlarge(self._of(task, stem), image.shape[-2:]) for task in self.tasks}

    def _of(self, task: str, x: Tensor) -> Tensor:
        low = x
        for number, blocks in enumerate(self.layers):
            for block in blocks:
                x = block(x, task)
            low = x if number == 0 else low
        return self.outputs[task](self.decoder(low, x, task))


def _scaled(channels: int, width: float) -> int:
    return max(4, round(width * channels))
