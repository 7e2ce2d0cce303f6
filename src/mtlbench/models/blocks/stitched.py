"""One backbone per task whose features are mixed after every stage, for classification."""

import copy
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from mtlbench.models import Classifier
from mtlbench.models.blocks.classify import class_heads
from mtlbench.models.blocks.cross_stitch import CrossStitch
from mtlbench.models.blocks.domain_norm import DomainNorms
from mtlbench.models.blocks.resnet import ResNetBackbone
from mtlbench.models.blocks.vgg import VGGBackbone


class StitchedClassifier(Classifier):
    """Equal copies of a backbone, one per task; a cross-stitch unit (T x T for each channel) follows every stage.

    All towers see the same image and feed each other, so ``only`` saves the other tasks' classifiers and no more.
    """

    def __init__(
        self, tasks: Mapping[str, int], backbone: ResNetBackbone | VGGBackbone, batch_norm: str | None
    ) -> None:
        super().__init__(tasks)
        self.backbones = nn.ModuleDict({task: copy.deepcopy(backbone) for task in self.tasks})
        self.units = nn.ModuleList(CrossStitch(self.tasks, count) for count in backbone.channels)
        self.heads = class_heads(backbone.channels[-1], self.tasks)
        self.norms = DomainNorms(batch_norm, list(self.tasks), self.backbones)

    def forward(self, image: Tensor, only: Sequence[str] | None = None) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for tasks in self.norms.passes(self.chosen(only)):
            self.norms.domain = tasks[0]
            features = self._features(image)
            found |= {task: self.heads[task](features[task]) for task in tasks}
        return found

    def _features(self, image: Tensor) -> dict[str, Tensor]:
        features = [image] * len(self.tasks)
        for stage, unit in enumerate(self.units):
            towers = zip(self.backbones.values(), features, strict=True)
            features = unit([backbone.stage(stage, x) for backbone, x in towers])
        return dict(zip(self.tasks, features, strict=True))
