"""Impartial learning, gradient balance: equal projections on all gradients."""

from typing import ClassVar

from torch import Tensor

from mtlbench.weightings import GradientWeighting
from mtlbench.weightings._equations import equal_projections


class IMTLG(GradientWeighting):
    """The combination of gradients, weights of sum 1, whose projections on all task gradients are equal.

    Liu et al., "Towards Impartial Multi-task Learning", ICLR 2021, section 3.1, eq. 5: closed form; written here with
    the cosine matrix C of the gradients: weights proportional to (C^-1 1)_t / |g_t|. Weights may be negative, and are
    huge where their sum nearly vanishes: that is the method's, not the solver's.
    """

    display: ClassVar[str] = "IMTL-G"
    paper: ClassVar[str] = "Liu et al., ICLR 2021 (openreview IMPnRXEWpvr)"
    paper_title: ClassVar[str] = "Towards Impartial Multi-task Learning"
    needs_gradients: ClassVar[bool] = True

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """The weights (T,) of sum 1."""
        weights, failed = equal_projections(gram)
        self.record_failure(failed)
        return weights
