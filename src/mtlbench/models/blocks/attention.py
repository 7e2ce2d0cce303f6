"""The attention module of the Multi-Task Attention Network."""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn


class AttentionMask(nn.Sequential):
    """conv1x1 -> BatchNorm -> ReLU -> conv1x1 -> BatchNorm -> sigmoid: a mask in (0, 1) for every feature.

    Liu et al., CVPR 2019 (arXiv 1803.10704), section 3.2, eq. 1-3: (N, inputs, H, W) -> (N, outputs, H, W).
    """

    diagram: ClassVar[str] = "mask"

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, hidden, 1),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, outputs, 1),
            nn.BatchNorm2d(outputs),
            nn.Sigmoid(),
        )


def stage_masks(channels: Iterable[int], reduction: int = 1) -> nn.ModuleList:
    """One task's masks for the stages of an encoder; all but the first also read the attended features.

    ``channels`` are those of the stages, ``reduction`` how many times fewer the masks have inside.
    """
    return nn.ModuleList(
        AttentionMask((2 if stage else 1) * count, count // reduction, count) for stage, count in enumerate(channels)
    )


def attend(
    masks: nn.ModuleList, stages: Sequence[tuple[Tensor, Tensor]], carry: Sequence[Callable[[Tensor], Tensor]]
) -> Tensor:
    """The attended features of one task after the last stage of an encoder.

    Liu et al., CVPR 2019 (arXiv 1803.10704), section 3.2. A stage is (what its mask reads, what the mask multiplies);
    from the second one on the mask also reads the attended features of the stage before, which ``carry`` brings to
    the channels and size of the next stage. ``carry`` may be shorter than ``stages``.
    """
    attended: Tensor | None = None
    for stage, (mask, (seen, masked)) in enumerate(zip(masks, stages, strict=True)):
        attended = mask(seen if attended is None else torch.cat([seen, attended], 1)) * masked
        if stage < len(carry):
            attended = carry[stage](attended)
    assert attended is not None
    return attended
