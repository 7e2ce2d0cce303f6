"""Single-task SegNet."""

from collections.abc import Mapping

from torch import Tensor

from mtlbench.models import Model
from mtlbench.models.blocks.segnet import Head, SegNetBackbone, initialise, scaled
from mtlbench.plan.options import Width


class SegNetSingle(Model):
    """One SegNet for one task: the baseline of the comparison."""

    family = "segnet"
    display = "SegNet"
    paper = "Badrinarayanan et al., TPAMI 2017 (arXiv 1511.00561)"
    paper_title = "SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation"
    single_task = True
    size_multiple = 32

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        width: Width = 1.0,
    ) -> None:
        super().__init__(tasks)
        filters = scaled(width)
        ((self.task, channels),) = self.tasks.items()
        self.backbone = SegNetBackbone(filters)
        self.head = Head(filters[0], channels)
        initialise(self)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        _, decoded = self.backbone(image)
        return {self.task: self.head(decoded[0].last)}
