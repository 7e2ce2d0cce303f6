"""UPGrad: each gradient projected off all conflicts, then averaged."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from mtlbench.weightings import GradientWeighting, cosines, require_few_tasks
from mtlbench.weightings._quadratic import MOST_TASKS, dual_cone


class UPGrad(GradientWeighting):
    """The mean over the tasks of the projection of g_t onto the cone of vectors that conflict with no gradient.

    Quinton and Rey, "Jacobian Descent for Multi-Objective Optimization", 2024 (arXiv 2406.16232), eq. 5 and
    proposition 1 (unconflicting projection of gradients). Each projection is g_t + sum of u_i g_i with u >= 0, the
    solution of a quadratic programme, here exact for up to 12 tasks and without the small regularisation of torchjd.
    """

    display: ClassVar[str] = "UPGrad"
    paper: ClassVar[str] = "Quinton and Rey, 2024 (arXiv 2406.16232)"
    paper_title: ClassVar[str] = "Jacobian Descent for Multi-Objective Optimization"
    needs_gradients: ClassVar[bool] = True

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        require_few_tasks(self, MOST_TASKS)

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """The mean (T,) of the projections' coefficients."""
        cosine, norms = cosines(gram)
        unit, failed = dual_cone(cosine)
        self.record_failure(failed)
        safe = torch.where(norms > 0, norms, torch.ones_like(norms))
        # From unit vectors to gradients: u_ti |g_t| / |g_i|. Zero gradients have u = 0.
        added = unit * safe[:, None] / safe[None, :]
        return (1.0 + added.sum(0)) / self.count
