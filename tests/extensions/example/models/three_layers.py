"""A network of three layers."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from mtlbench.models._block import block
from pydantic import Field
from torch import Tensor, nn

from mtlbench.models import Model


class ThreeLayers(Model):
    """Two shared convolutions at full resolution and one for each task."""

    family: ClassVar[str] = "three_layers"
    paper: ClassVar[str] = "an example"

    def __init__(
        self, tasks: Mapping[str, int], *, filters: Annotated[int, Field(ge=1, description="of a shared layer")] = 8
    ) -> None:
        super().__init__(tasks)
        self.body = nn.Sequential(block(3, filters), block(filters, filters))
        self.heads = nn.ModuleDict({task: nn.Conv2d(filters, channels, 1) for task, channels in tasks.items()})

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Raw maps {task: (N, channels, H, W)} of an image batch (N, 3, H, W)."""
        features = self.body(image)
        return {task: head(features) for task, head in self.heads.items()}
