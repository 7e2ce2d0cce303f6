"""Multiple gradient descent: the shortest convex combination of the gradients."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import GradientWeighting, require_few_tasks
from mtlbench.weightings._quadratic import MOST_TASKS, min_norm


class MGDA(GradientWeighting):
    """The point of smallest norm in the convex hull of the gradients: a common descent direction, or zero.

    Sener and Koltun, "Multi-Task Learning as Multi-Objective Optimization", NeurIPS 2018 (arXiv 1810.04650), eq. 3.
    Solved exactly for up to 12 tasks (the authors use Frank-Wolfe). The weights sum to 1; the nash-mtl code
    multiplies them by T. ``normalisation`` divides each gradient by its norm (l2), its loss (loss) or both (loss+) to
    find the weights, which then apply to the gradients themselves, as in the authors' code.
    """

    display: ClassVar[str] = "MGDA"
    paper: ClassVar[str] = "Sener and Koltun, NeurIPS 2018 (arXiv 1810.04650)"
    paper_title: ClassVar[str] = "Multi-Task Learning as Multi-Objective Optimization"
    needs_gradients: ClassVar[bool] = True

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        normalisation: Annotated[
            Literal["none", "l2", "loss", "loss+"],
            Field(description="what gradients are divided by for the weights"),
            Search(values=("none", "l2", "loss", "loss+")),
        ] = "none",
    ) -> None:
        super().__init__(tasks)
        require_few_tasks(self, MOST_TASKS)
        self.normalisation = normalisation

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """The exact minimiser (T,) over the simplex."""
        length = torch.ones_like(gram.diagonal())
        if self.normalisation in ("l2", "loss+"):
            length = length * gram.diagonal().sqrt()
        if self.normalisation in ("loss", "loss+"):
            length = length * losses
        length = torch.where(length > 0, length, torch.ones_like(length))
        weights, failed = min_norm(gram / length[:, None] / length[None, :])
        self.record_failure(failed)
        return weights
