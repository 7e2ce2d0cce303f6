"""Geometric loss strategy: the geometric mean of the losses."""

from typing import ClassVar

from torch import Tensor

from mtlbench.weightings import Weighting, positive


class GLS(Weighting):
    """The geometric mean (L_1 ... L_T)^(1/T) of the losses.

    Chennupati et al., "MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy for Multi-Task
    Learning", CVPR workshops 2019 (arXiv 1904.08492), eq. 1. Its gradient is that of the weights (mean / L_t) / T.
    Losses must not be negative; one below 1e-12 counts as 1e-12 in the weights.
    """

    display: ClassVar[str] = "GLS"
    paper: ClassVar[str] = "Chennupati et al., CVPR workshops 2019 (arXiv 1904.08492)"
    paper_title: ClassVar[str] = (
        "MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy for Multi-Task Learning"
    )

    def weights(self, losses: Tensor) -> Tensor:
        """The derivatives (T,) of the geometric mean with respect to the losses."""
        losses = positive(losses)
        return losses.log().mean().exp() / (losses * self.count)
