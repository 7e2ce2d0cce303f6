"""The mean gradient, projected off all conflicts at once."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from mtlbench.weightings import GradientWeighting, cosines, require_few_tasks
from mtlbench.weightings._quadratic import MOST_TASKS, onto_dual_cone


class DualProjection(GradientWeighting):
    """The vector nearest to the mean gradient that conflicts with no task's gradient.

    Lopez-Paz and Ranzato, "Gradient Episodic Memory for Continual Learning", NeurIPS 2017 (arXiv 1706.08840), eq. 11
    (there the current task's gradient against the memories'), in the form for equal tasks (DualProj) of Quinton and
    Rey, arXiv 2406.16232: min over d of |d - g_0|^2 with g_t . d >= 0 for every task, g_0 the mean. The solution is
    g_0 + sum of u_t g_t with u >= 0, here exact for up to 12 tasks and without the small regularisation of torchjd.
    """

    display: ClassVar[str] = "DualProj"
    paper: ClassVar[str] = "Lopez-Paz and Ranzato, NeurIPS 2017 (arXiv 1706.08840)"
    paper_title: ClassVar[str] = "Gradient Episodic Memory for Continual Learning"
    needs_gradients: ClassVar[bool] = True

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        require_few_tasks(self, MOST_TASKS)

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """The weights (T,), at least 1/T each."""
        cosine, norms = cosines(gram)
        size = norms.max()
        size = torch.where(size > 0, size, torch.ones_like(size))
        mean = norms / (self.count * size)
        added, failed = onto_dual_cone(cosine, mean[None])
        self.record_failure(failed)
        safe = torch.where(norms > 0, norms, torch.ones_like(norms))
        # From unit vectors back to gradients. Zero gradients have u = 0.
        return 1.0 / self.count + added.squeeze(0) * size / safe
