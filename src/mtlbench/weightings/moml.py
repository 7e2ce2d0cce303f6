"""MOML: weights learned on held-out images, all of whose losses count, by looking one step ahead."""

from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlbench.plan.options import Search
from mtlbench.weightings import Weighting, require_few_tasks
from mtlbench.weightings._look_ahead import dot, gradients
from mtlbench.weightings._optimise import BufferedAdam, softmax_gradient
from mtlbench.weightings._quadratic import MOST_TASKS, min_norm


class MOML(Weighting):
    """Softmax weights that go down a common descent direction of the T held-out losses after one look-ahead step.

    Ye et al., "Multi-Objective Meta Learning", NeurIPS 2021 (arXiv 2102.07121), algorithm 1 for multi-task learning,
    with one inner step: theta' = theta - inner_rate sum_s w_s g_s, w = softmax(a), g_s the gradient of training loss s.
    The gradient of held-out loss t at theta' with respect to w_s is -inner_rate h_t . g_s, exactly, h_t its gradient
    with respect to theta'. Of these T gradients with respect to a the shortest convex combination (MGDA, solved
    exactly for up to 12 tasks) moves a by an Adam of its own.

    Departure: the second batch is held out from training; the authors' codes train on it too, whether it comes from
    a validation split or is half of the training batch. A step costs 2 T backward and two forward passes more.
    """

    display: ClassVar[str] = "MOML"
    paper: ClassVar[str] = "Ye et al., NeurIPS 2021 (arXiv 2102.07121)"
    paper_title: ClassVar[str] = "Multi-Objective Meta Learning"
    wants_held_out: ClassVar[bool] = True

    logits: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        inner_rate: Annotated[
            float, Field(gt=0, description="learning rate of the look-ahead step"), Search(1e-3, 1.0, log=True)
        ] = 0.1,
        learning_rate: Annotated[
            float, Field(gt=0, description="of the weights' own Adam"), Search(1e-4, 1e-2, log=True)
        ] = 0.001,
        held_out_share: Annotated[
            float, Field(gt=0, lt=1, description="share of the training images held out for the look-ahead")
        ] = 0.1,
    ) -> None:
        super().__init__(tasks)
        require_few_tasks(self, MOST_TASKS)
        self.inner_rate = inner_rate
        self.held_out_share = held_out_share
        self.register_buffer("logits", torch.zeros(self.count))
        self.adam = BufferedAdam(self.count, learning_rate)

    def prepare_step(self, model: nn.Module, losses_on: Callable[[str], list[Tensor]], learning_rate: float) -> None:
        """Update the weights by the look-ahead; leaves the parameters of ``model`` as they were."""
        if self.count == 1:
            return
        parameters: list[Tensor] = [parameter for parameter in model.parameters() if parameter.requires_grad]
        saved = [parameter.detach().clone() for parameter in parameters]
        try:
            training = gradients(self, losses_on("train"), parameters)
            with torch.no_grad():
                for share, gradient in zip(self._shares(), training, strict=True):
                    steps = torch._foreach_mul(gradient, -self.inner_rate * share.to(gradient[0].dtype))
                    torch._foreach_add_(parameters, steps)
            held_out = gradients(self, losses_on("held_out"), parameters)
        finally:
            with torch.no_grad():
                torch._foreach_copy_(parameters, saved)
        products = torch.stack([torch.stack([dot(one, other) for other in training]) for one in held_out])
        slopes = torch.stack([softmax_gradient(self.logits.double(), row) for row in -self.inner_rate * products])
        weights, _ = min_norm(slopes @ slopes.T)
        self.adam.step(self.logits, weights @ slopes)

    def weights(self, losses: Tensor) -> Tensor:
        """The weights (T,) of the last look-ahead, of sum 1."""
        return self._shares()

    def _shares(self) -> Tensor:
        return self.logits.softmax(0)
