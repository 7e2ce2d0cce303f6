"""One DeepLabv3 per task whose features are mixed between the layers."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from mtlbench.models import Model
from mtlbench.models.blocks.deeplab import heads
from mtlbench.models.blocks.resnet import ResNetBackbone, channels


class MixedTowers(Model):
    """A dilated ResNet and a head for each task; ``unit(tasks, channels)`` mixes the T maps after each layer."""

    def __init__(
        self,
        tasks: Mapping[str, int],
        unit: Callable[[tuple[str, ...], int], nn.Module],
        depth: int,
        weights: str,
        dropout: float,
    ) -> None:
        super().__init__(tasks)
        self.backbones = nn.ModuleDict({task: ResNetBackbone(depth, weights) for task in self.tasks})
        self.units = nn.ModuleList(unit(tuple(self.tasks), count) for count in channels(depth))
        self.heads = heads(channels(depth)[-1], self.tasks, dropout)

    def mixed(self, image: Tensor) -> list[list[Tensor]]:
        """The T mixed feature maps after each of the four layers."""
        features, found = [backbone.stem(image) for backbone in self.backbones.values()], []
        for stage, unit in enumerate(self.units):
            towers = zip(self.backbones.values(), features, strict=True)
            features = unit([backbone.layers[stage](x) for backbone, x in towers])
            found.append(features)
        return found

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        results = zip(self.heads.items(), self.mixed(image)[-1], strict=True)
        return {task: head(x, image.shape[-2:]) for (task, head), x in results}
