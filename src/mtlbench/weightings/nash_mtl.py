"""Nash-MTL: the update that the tasks would agree on by bargaining."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from mtlbench.weightings import GradientWeighting
from mtlbench.weightings._equations import power_balance


class NashMTL(GradientWeighting):
    """The Nash bargaining solution: positive weights with G G^T a = 1 / a.

    Navon et al., "Multi-Task Learning as a Bargaining Game", ICML 2022 (arXiv 2202.01017), claim 3.1. Multiplying a
    loss by a constant does not change the update, whose length is sqrt(T); as in the authors' code the shared gradient
    is then cut to ``max_norm``, so with the default it always has length 1. (That code divides G G^T by its Frobenius
    norm and undoes it in the constraints: the solution is the one stated here.)

    Departures: a convex problem solved by Newton's method at every step instead of a sequence of convex programmes
    (20 at most, from the last solution), so nothing is carried over and a failure is reported; only the shared
    gradient is weighted, task-specific parameters get their own gradient (there: times a_t).
    """

    display: ClassVar[str] = "Nash-MTL"
    paper: ClassVar[str] = "Navon et al., ICML 2022 (arXiv 2202.01017)"
    paper_title: ClassVar[str] = "Multi-Task Learning as a Bargaining Game"
    needs_gradients: ClassVar[bool] = True

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        max_norm: Annotated[float, Field(ge=0, description="longest shared gradient; 0: no limit")] = 1.0,
    ) -> None:
        super().__init__(tasks)
        self.max_norm = max_norm

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """The weights (T,), after the cut to ``max_norm``."""
        weights, failed = power_balance(gram, 1.0)
        self.record_failure(failed)
        if self.max_norm > 0:
            length = (weights @ gram @ weights).clamp_min(0.0).sqrt()
            weights = weights * (self.max_norm / length.clamp_min(self.max_norm))
        return weights
