"""One SegNet per task, joined by cross-stitch units."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from mtlbench.models import Model
from mtlbench.models.blocks.cross_stitch import CrossStitch
from mtlbench.models.blocks.pooling import MaxPool, MaxUnpool
from mtlbench.models.blocks.segnet import decoder_blocks, encoder_blocks, heads, initialise, scaled
from mtlbench.plan.options import Width


class SegNetCrossStitch(Model):
    """One SegNet per task; cross-stitch units mix their features at every stage.

    A unit stands before the encoder stages 1 to 4 (on the pooled features) and before every decoder stage's
    unpooling. The MTAN reference has one weight per source, so that all its towers receive the same sum;
    here a unit is the T x T (x C) matrix of the paper.
    """

    family = "segnet"
    parts = (("fusion", "encoder_units"), ("fusion", "decoder_units"))
    towers_of = "segnet_single"
    towers = (("encoders", "backbone.encoder"), ("decoders", "backbone.decoder"), ("heads", "head"))
    display = "Cross-Stitch (SegNet)"
    paper = "Misra et al., CVPR 2016 (arXiv 1604.03539)"
    paper_title = "Cross-Stitch Networks for Multi-Task Learning"
    size_multiple = 32

    def __init__(
        self,
        tasks: Mapping[str, int],
        *,
        width: Width = 1.0,
        unit: Annotated[
            Literal["channel", "layer"], Field(description="one mixing matrix for each channel, or one for each layer")
        ] = "channel",
    ) -> None:
        super().__init__(tasks)
        filters = scaled(width)
        self.encoders = nn.ModuleDict({task: encoder_blocks(filters) for task in self.tasks})
        self.decoders = nn.ModuleDict({task: decoder_blocks(filters) for task in self.tasks})
        self.heads = heads(filters[0], self.tasks)
        channels = filters if unit == "channel" else [1] * len(filters)
        self.encoder_units = nn.ModuleList(CrossStitch(self.tasks, count) for count in channels[:-1])
        self.decoder_units = nn.ModuleList(CrossStitch(self.tasks, count) for count in channels)
        self.pool = MaxPool()
        self.unpool = MaxUnpool()
        initialise(self, nn.init.xavier_uniform_)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features, positions = [image] * len(self.tasks), []
        for stage in range(len(self.decoder_units)):
            if stage:
                features = self.encoder_units[stage - 1](features)
            encoders = zip(self.encoders.values(), features, strict=True)
            pooled = [self.pool(blocks[stage](x)) for blocks, x in encoders]
            features = [values for values, _ in pooled]
            positions.append([position for _, position in pooled])
        for stage in reversed(range(len(self.decoder_units))):
            features = self.decoder_units[stage](features)
            decoders = zip(self.decoders.values(), features, positions[stage], strict=True)
            features = [blocks[stage](self.unpool(x, position)) for blocks, x, position in decoders]
        return {task: head(x) for (task, head), x in zip(self.heads.items(), features, strict=True)}
