"""Aligned-MTL: gradients made orthogonal and equally long."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import GradientWeighting
from mtlbench.weightings._eigen import symmetric_eigen


class AlignedMTL(GradientWeighting):
    """The sum of the gradients after their principal components got one length: weights B 1.

    Senushkin et al., "Independent Component Alignment for Multi-Task Learning", CVPR 2023 (arXiv 2305.19000),
    algorithm 1 and eq. 14: with the eigenvectors V and eigenvalues S of G G^T, B = s V S^(-1/2) V^T, where s is the
    square root of the smallest eigenvalue (``min``), their median or their mean (``rmse``). Eigenvalues below
    T times the float32 precision of the largest are left out, as in the authors' code.
    """

    display: ClassVar[str] = "Aligned-MTL"
    paper: ClassVar[str] = "Senushkin et al., CVPR 2023 (arXiv 2305.19000)"
    paper_title: ClassVar[str] = "Independent Component Alignment for Multi-Task Learning"
    needs_gradients: ClassVar[bool] = True

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        scale: Annotated[
            Literal["min", "median", "rmse"],
            Field(description="which eigenvalue gives the common length"),
            Search(values=("min", "median", "rmse")),
        ] = "min",
    ) -> None:
        super().__init__(tasks)
        self.scale = scale

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """B 1 (T,); ones when all gradients are zero."""
        size = gram.diagonal().max()
        values, vectors = symmetric_eigen(gram / torch.where(size > 0, size, torch.ones_like(size)))
        kept = values > values.max() * self.count * torch.finfo(torch.float32).eps
        chosen = torch.where(kept, values, 1.0).rsqrt()
        length = self._common(values, kept).sqrt()
        weights = vectors @ (torch.where(kept, length * chosen, 0.0) * vectors.sum(0))
        return torch.where(size > 0, weights, torch.where(size.isnan(), size, torch.ones_like(weights)))

    def _common(self, values: Tensor, kept: Tensor) -> Tensor:
        """The eigenvalue that stands for all kept ones; the lower median of an even number, as in the code."""
        if self.scale == "min":
            return torch.where(kept, values, torch.inf).min()
        if self.scale == "rmse":
            return torch.where(kept, values, 0.0).sum() / kept.sum().clamp_min(1)
        ordered = torch.where(kept, values, torch.inf).sort().values
        return ordered.gather(0, ((kept.sum() - 1).clamp_min(0) // 2).reshape(1)).squeeze(0)
