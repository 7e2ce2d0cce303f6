"""The Multi-Task Attention Network on SegNet, for any number of tasks."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtlbench.models.blocks.attention import AttentionMask
from mtlbench.models.blocks.pooling import MaxPool
from mtlbench.models.blocks.resize import BilinearTwice
from mtlbench.models.blocks.segnet import ConvUnit, SegNetBackbone, StageFeatures, heads


class TaskAttention(nn.Module):
    """The attention masks of one task: five for the encoder stages, five for the decoder stages."""

    def __init__(self, filters: Sequence[int]) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(
            AttentionMask((2 if stage else 1) * count, count, count) for stage, count in enumerate(filters)
        )
        outer = [filters[max(stage - 1, 0)] for stage in range(len(filters))]
        self.decoder = nn.ModuleList(
            AttentionMask(count + out, out, out) for count, out in zip(filters, outer, strict=True)
        )


class SegNetAttention(nn.Module):
    """A SegNet backbone and attention masks per task: an image (N, 3, H, W) -> raw maps {task: (N, K, H, W)}.

    Liu et al., CVPR 2019 (arXiv 1803.10704), section 3.2. A mask reads the first unit's output of a shared
    encoder stage (the unpooled input of a decoder stage) beside the task's attended features of the stage
    before, and multiplies the shared stage's last output. The convolutions that carry attended features
    from stage to stage are the same for all tasks.
    """

    def __init__(self, filters: Sequence[int], tasks: Mapping[str, int]) -> None:
        super().__init__()
        inner = [*filters[1:], filters[-1]]
        outer = [filters[max(stage - 1, 0)] for stage in range(len(filters))]
        self.backbone = SegNetBackbone(filters)
        self.attention = nn.ModuleDict({task: TaskAttention(filters) for task in tasks})
        self.down = nn.ModuleList(ConvUnit(count, into) for count, into in zip(filters, inner, strict=True))
        self.up = nn.ModuleList(ConvUnit(count, out) for count, out in zip(filters, outer, strict=True))
        self.heads = heads(filters[0], tasks)
        self.pool = MaxPool()
        self.twice = BilinearTwice()

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        encoded, decoded = self.backbone(image)
        return {task: head(self._attend(self.attention[task], encoded, decoded)) for task, head in self.heads.items()}

    def _attend(self, masks: TaskAttention, encoded: list[StageFeatures], decoded: list[StageFeatures]) -> Tensor:
        attended: Tensor | None = None
        for features, mask, unit in zip(encoded, masks.encoder, self.down, strict=True):
            seen = features.first if attended is None else torch.cat([features.first, attended], 1)
            attended, _ = self.pool(unit(mask(seen) * features.last))
        for features, mask, unit in zip(reversed(decoded), reversed(masks.decoder), reversed(self.up), strict=True):
            seen = torch.cat([features.input, unit(self.twice(attended))], 1)
            attended = mask(seen) * features.last
        assert attended is not None
        return attended
