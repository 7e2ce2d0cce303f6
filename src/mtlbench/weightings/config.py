"""ConFIG: the direction that makes the same angle with every task's gradient."""

from typing import ClassVar

from torch import Tensor

from mtlbench.weightings import GradientWeighting
from mtlbench.weightings._equations import equal_cosines


class ConFIG(GradientWeighting):
    """The direction d with equal cosines to all task gradients, of the length that the sum of the g_t . d gives.

    Liu, Chu, Thuerey, "ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks", ICLR 2025 (arXiv
    2408.11104), eq. 2: d = unit(U^+ 1), U the T unit gradients and U^+ the pseudoinverse; the update is
    (sum of g_t . d) d. With the cosine matrix C = U U^T that is a combination of the gradients: U^+ 1 = U^T C^+ 1. Its
    line is that of IMTL-G; the length differs. Where gradients cancel no direction has equal cosines: the
    pseudoinverse then gives the one that comes nearest (nothing for two opposite gradients), and the log reports it.
    """

    display: ClassVar[str] = "ConFIG"
    paper: ClassVar[str] = "Liu et al., ICLR 2025 (arXiv 2408.11104)"
    paper_title: ClassVar[str] = "ConFIG: Towards Conflict-free Training of Physics Informed Neural Networks"
    needs_gradients: ClassVar[bool] = True

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """The weights (T,); those of tasks without gradient are 0."""
        weights, failed = equal_cosines(gram)
        self.record_failure(failed)
        return weights
