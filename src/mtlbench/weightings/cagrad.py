"""Conflict-averse gradient descent."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import GradientWeighting, require_few_tasks
from mtlbench.weightings._quadratic import MOST_TASKS, conflict_averse


class CAGrad(GradientWeighting):
    """The vector within c |g_0| of the mean gradient g_0 that helps the worst task most: g_0 + c |g_0| g_w / |g_w|.

    Liu et al., "Conflict-Averse Gradient Descent for Multi-task Learning", NeurIPS 2021 (arXiv 2110.14048), eq. 4 to 6:
    w on the simplex minimises g_w.g_0 + c |g_0| |g_w|. Solved exactly for up to 12 tasks (the authors use SLSQP).

    The vector is then multiplied by a factor that differs between the codes: ``authors``: T / (1 + c^2) (CAGrad,
    nash-mtl, FAMO: near the sum of the gradients); ``libmtl``: 1 / (1 + c^2); ``paper``: 1 (also torchjd).
    """

    display: ClassVar[str] = "CAGrad"
    paper: ClassVar[str] = "Liu et al., NeurIPS 2021 (arXiv 2110.14048)"
    paper_title: ClassVar[str] = "Conflict-Averse Gradient Descent for Multi-task Learning"
    needs_gradients: ClassVar[bool] = True

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        c: Annotated[
            float, Field(ge=0, description="radius relative to |g_0|; 0 is the mean gradient"), Search(0.1, 0.9)
        ] = 0.4,
        factor: Annotated[
            Literal["authors", "libmtl", "paper"], Field(description="T / (1 + c^2), 1 / (1 + c^2) or 1")
        ] = "authors",
    ) -> None:
        super().__init__(tasks)
        require_few_tasks(self, MOST_TASKS)
        self.c = c
        shrunk = 1.0 / (1.0 + c * c)
        self.factor = {"authors": self.count * shrunk, "libmtl": shrunk, "paper": 1.0}[factor]

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """The weights (T,): factor (1/T + c |g_0| / |g_w| w)."""
        inner, failed = conflict_averse(gram, self.c)
        self.record_failure(failed)
        radius = self.c * gram.mean().clamp_min(0.0).sqrt()
        length = (inner @ gram @ inner).clamp_min(0.0).sqrt()
        # g_w vanishes at Pareto-stationary points; up to rounding there is no direction to add.
        vanished = length <= 1e-7 * (inner @ gram.diagonal().sqrt())
        along = torch.where(vanished, 0.0, radius / torch.where(vanished, 1.0, length))
        return self.factor * (1.0 / self.count + along * inner)
