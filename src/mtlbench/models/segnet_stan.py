"""Single-task attention network: MTAN with one task."""

from collections.abc import Mapping

from torch import Tensor

from mtlbench.models import Model
from mtlbench.models.blocks.segnet import initialise, scaled
from mtlbench.models.blocks.segnet_mtan import SegNetAttention
from mtlbench.plan.options import Width


class SegNetSTAN(Model):
    """MTAN with one task: what the attention masks bring without any sharing."""

    family = "segnet"
    display = "STAN (SegNet)"
    paper = "Liu et al., CVPR 2019 (arXiv 1803.10704)"
    paper_title = "End-to-End Multi-Task Learning with Attention"
    single_task = True
    size_multiple = 32

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        width: Width = 1.0,
    ) -> None:
        super().__init__(tasks)
        self.network = SegNetAttention(scaled(width), self.tasks)
        initialise(self)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return self.network(image)
