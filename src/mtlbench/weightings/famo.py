"""Fast adaptive multitask optimisation: equal relative decrease of all losses."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import Weighting
from mtlbench.weightings._optimise import BufferedAdam, softmax_gradient

_SMALLEST = 1e-8


class FAMO(Weighting):
    """Weights (z_t / D_t) / sum(z / D), z = softmax(w), D_t = L_t + 1e-8; w follows the decrease of log D.

    Liu et al., "FAMO: Fast Adaptive Multitask Optimization", NeurIPS 2023 (arXiv 2306.03792), algorithm 1, with the
    smallest possible losses taken as 0 like in the authors' code. After the step the losses of the same batch are
    computed again; Adam moves w against log D before minus log D after, so that the task that fell least gains
    weight. The weights sum to 1.

    The authors' code clips the gradients before the backward pass, which does nothing; there is no clipping here.
    """

    display: ClassVar[str] = "FAMO"
    paper: ClassVar[str] = "Liu et al., NeurIPS 2023 (arXiv 2306.03792)"
    paper_title: ClassVar[str] = "FAMO: Fast Adaptive Multitask Optimization"
    wants_losses_after_step: ClassVar[bool] = True

    logits: Tensor
    before: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        learning_rate: Annotated[
            float, Field(gt=0, description="of the weights' own Adam"), Search(1e-3, 1e-1, log=True)
        ] = 0.025,
        weight_decay: Annotated[
            float,
            Field(ge=0, description="of the weights' own Adam: 0.001 for NYUv2, 0.01 for Cityscapes"),
            Search(1e-4, 1e-1, log=True),
        ] = 0.001,
    ) -> None:
        super().__init__(tasks)
        self.register_buffer("logits", torch.zeros(self.count))
        self.register_buffer("before", torch.ones(self.count))
        self.adam = BufferedAdam(self.count, learning_rate, weight_decay)

    def weights(self, losses: Tensor) -> Tensor:
        """The weights (T,); keeps the losses for :meth:`after_step`."""
        distance = losses.clamp_min(0.0) + _SMALLEST
        self.before.copy_(distance)
        share = torch.softmax(self.logits, dim=0) / distance
        return share / share.sum()

    def after_step(self, losses: Tensor) -> None:
        """Move the logits by the change of the losses (T,) over the step."""
        change = self.before.log() - (losses.clamp_min(0.0) + _SMALLEST).log()
        self.adam.step(self.logits, softmax_gradient(self.logits, change))
