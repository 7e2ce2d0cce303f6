"""Auto-Lambda: weights learned by looking one step ahead on held-out images."""

from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlbench.plan.options import Search
from mtlbench.weightings import Weighting
from mtlbench.weightings._optimise import BufferedAdam

# The authors' step of the finite difference, divided by the norm of the direction.
_DIFFERENCE = 0.01


class AutoLambda(Weighting):
    """Weights that reduce the held-out losses after one look-ahead step, by finite differences.

    Liu, James, Davison, Johns, "Auto-Lambda: Disentangling Dynamic Task Relationships", TMLR 2022 (arXiv 2202.03091),
    eq. 5 and 6. With theta' = theta - lr grad(sum lambda L_train) and v = grad of the sum of the held-out losses at
    theta', the gradient of lambda_t is -lr (L_t(theta + e v) - L_t(theta - e v)) / (2 e), e = 0.01 / |v|, where L_t are
    training losses. lambda is learned by its own Adam. All tasks are primary.

    Departures from the authors' code: the second batch is held out from training (there it is the training set in
    another order); the look-ahead is a plain gradient step without momentum and weight decay; parameters are
    restored from a copy, bit for bit. A step costs two backward and four forward passes more.
    """

    display: ClassVar[str] = "Auto-Lambda"
    paper: ClassVar[str] = "Liu et al., TMLR 2022 (arXiv 2202.03091)"
    paper_title: ClassVar[str] = "Auto-Lambda: Disentangling Dynamic Task Relationships"
    wants_held_out: ClassVar[bool] = True

    task_weights: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        start: Annotated[float, Field(gt=0, description="weight of every task at the start")] = 0.1,
        learning_rate: Annotated[
            float, Field(gt=0, description="of the weights' own Adam"), Search(1e-5, 1e-2, log=True)
        ] = 0.0001,
        held_out_share: Annotated[
            float, Field(gt=0, lt=1, description="share of the training images held out for the look-ahead")
        ] = 0.1,
    ) -> None:
        super().__init__(tasks)
        self.held_out_share = held_out_share
        self.register_buffer("task_weights", torch.full((self.count,), start))
        self.adam = BufferedAdam(self.count, learning_rate)

    def prepare_step(self, model: nn.Module, losses_on: Callable[[str], list[Tensor]], learning_rate: float) -> None:
        """Update the weights by the look-ahead; leaves the parameters of ``model`` as they were."""
        if self.count == 1:
            return
        parameters: list[Tensor] = [parameter for parameter in model.parameters() if parameter.requires_grad]
        saved = [parameter.detach().clone() for parameter in parameters]
        try:
            slope = self._slope(losses_on("train"), self.task_weights, parameters)
            _move(parameters, slope, -learning_rate)
            direction = self._slope(losses_on("held_out"), torch.ones_like(self.task_weights), parameters)
            norms = torch.stack(torch._foreach_norm(direction))
            size = _DIFFERENCE / torch.linalg.vector_norm(norms).clamp_min(1e-12)
            change = self._difference(losses_on, parameters, saved, direction, size)
        finally:
            _restore(parameters, saved)
        self.adam.step(self.task_weights, -learning_rate * change)

    def weights(self, losses: Tensor) -> Tensor:
        """The learned weights (T,)."""
        return self.task_weights

    def _slope(self, losses: Sequence[Tensor], weights: Tensor, parameters: list[Tensor]) -> list[Tensor]:
        """The gradient of the weighted sum of the losses; zero for parameters that they do not reach."""
        seeds = list(weights.to(losses[0].dtype).unbind())
        found = list(torch.autograd.grad(list(losses), parameters, seeds, allow_unused=True, materialize_grads=True))
        self.all_reduce(found)
        return found

    def _difference(
        self,
        losses_on: Callable[[str], list[Tensor]],
        parameters: list[Tensor],
        saved: list[Tensor],
        direction: list[Tensor],
        size: Tensor,
    ) -> Tensor:
        """The derivative (T,) of each training loss along ``direction`` (not normalised) at the saved parameters."""
        ends = []
        for sign in (1.0, -1.0):
            _restore(parameters, saved)
            _move(parameters, list(torch._foreach_mul(direction, size)), sign)
            with torch.no_grad():
                ends.append(torch.stack(losses_on("train")))
        return (ends[0] - ends[1]) / (2 * size)


@torch.no_grad()
def _move(parameters: list[Tensor], direction: list[Tensor], length: float) -> None:
    torch._foreach_add_(parameters, direction, alpha=length)


@torch.no_grad()
def _restore(parameters: list[Tensor], saved: list[Tensor]) -> None:
    torch._foreach_copy_(parameters, saved)
