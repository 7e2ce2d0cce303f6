"""NTKMTL: tasks whose tangent kernel is small weigh more."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import GradientWeighting


class NTKMTL(GradientWeighting):
    """Weights (sum of k / k_t)^exponent, k_t the largest eigenvalue of the task's neural tangent kernel.

    Qin et al., "NTKMTL: Mitigating Task Imbalance in Multi-Task Learning from Neural Tangent Kernel Perspective",
    NeurIPS 2025 (arXiv 2510.18258), in the form that the authors' code uses for its results (n = 1): the kernel of
    the batch loss is the number k_t = |g_t|^2, so with exponent 1/2 all weighted gradients have one length. The code
    also multiplies by T, which is left out here. A task without gradient gets weight 0.
    """

    display: ClassVar[str] = "NTKMTL"
    paper: ClassVar[str] = "Qin et al., NeurIPS 2025 (arXiv 2510.18258)"
    paper_title: ClassVar[str] = (
        "NTKMTL: Mitigating Task Imbalance in Multi-Task Learning from Neural Tangent Kernel Perspective"
    )
    needs_gradients: ClassVar[bool] = True

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        exponent: Annotated[
            float, Field(gt=0, description="0.5: weighted gradients of one length"), Search(0.25, 1.0)
        ] = 0.5,
    ) -> None:
        super().__init__(tasks)
        self.exponent = exponent

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """The weights (T,)."""
        kernel = gram.diagonal()
        active = kernel > 0
        ratio = kernel.sum() / torch.where(active, kernel, torch.ones_like(kernel))
        return torch.where(active | kernel.isnan(), ratio.pow(self.exponent), torch.zeros_like(kernel))
