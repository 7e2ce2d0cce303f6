"""A shared SegNet beside one SegNet per task, densely connected."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtlbench.models import Model
from mtlbench.models.blocks.pooling import MaxPool, MaxUnpool
from mtlbench.models.blocks.segnet import (
    CONVOLUTIONS,
    block,
    decoder_blocks,
    encoder_blocks,
    heads,
    initialise,
    scaled,
)
from mtlbench.plan.options import Width


class SegNetDense(Model):
    """A shared SegNet and one SegNet per task that reads the shared features at every stage ("Dense").

    The shared network's outermost decoder stage would feed nothing, so it does not exist here.
    """

    family = "segnet"
    display = "Dense (SegNet)"
    paper = "Liu et al., CVPR 2019 (arXiv 1803.10704)"
    paper_title = "End-to-End Multi-Task Learning with Attention"
    size_multiple = 32

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        width: Width = 1.0,
    ) -> None:
        super().__init__(tasks)
        filters = scaled(width)
        self.shared_encoder = encoder_blocks(filters)
        self.shared_decoder = decoder_blocks(filters)[1:]
        self.encoders = nn.ModuleDict({task: _task_encoder(filters) for task in self.tasks})
        self.decoders = nn.ModuleDict({task: _task_decoder(filters) for task in self.tasks})
        self.heads = heads(filters[0], self.tasks)
        self.pool = MaxPool()
        self.unpool = MaxUnpool()
        initialise(self, nn.init.xavier_uniform_)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        pooled, positions = self._encode(self.shared_encoder, image)
        unpooled = [self.unpool(pooled[-1], positions[-1])]
        for stage in reversed(range(len(self.shared_decoder))):
            unpooled.insert(0, self.unpool(self.shared_decoder[stage](unpooled[0]), positions[stage]))
        return {task: head(self._decode(task, image, pooled, unpooled)) for task, head in self.heads.items()}

    def _encode(
        self, blocks: nn.ModuleList, image: Tensor, beside: Sequence[Tensor] = ()
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Pooled features and positions of every stage; ``beside`` joins the input of stages 1 to 4."""
        pooled: list[Tensor] = []
        positions: list[Tensor] = []
        for stage, convolutions in enumerate(blocks):
            x = pooled[-1] if stage else image
            x, position = self.pool(convolutions(torch.cat([x, beside[stage - 1]], 1) if stage and beside else x))
            pooled.append(x)
            positions.append(position)
        return pooled, positions

    def _decode(self, task: str, image: Tensor, pooled: list[Tensor], unpooled: list[Tensor]) -> Tensor:
        own, positions = self._encode(self.encoders[task], image, pooled)
        x = own[-1]
        decoder = self.decoders[task]
        for stage in reversed(range(len(decoder))):
            x = decoder[stage](torch.cat([self.unpool(x, positions[stage]), unpooled[stage]], 1))
        return x


def _task_encoder(filters: Sequence[int]) -> nn.ModuleList:
    inputs = [3, *(2 * count for count in filters[:-1])]
    return nn.ModuleList(
        block([count] + [out] * number) for count, out, number in zip(inputs, filters, CONVOLUTIONS, strict=True)
    )


def _task_decoder(filters: Sequence[int]) -> nn.ModuleList:
    outermost = block([2 * filters[0], 2 * filters[0], filters[0]])
    return nn.ModuleList(
        [
            outermost,
            *(block([2 * filters[k]] + [filters[k - 1]] * CONVOLUTIONS[k]) for k in range(1, len(filters))),
        ]
    )
