"""FORUM: the tasks' common descent under the constraint that a weighted sum of the losses nears its minimum."""

from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlbench.plan.options import Search
from mtlbench.weightings import Weighting, detached, require_few_tasks
from mtlbench.weightings._look_ahead import dot, gradients
from mtlbench.weightings._optimise import BufferedAdam, softmax_gradient
from mtlbench.weightings._quadratic import MOST_TASKS, constrained_min_norm

_SMALLEST = 1e-8
# The authors' code takes no more inner steps once the weighted loss is above this.
_DIVERGED = 1e5


class FORUM(Weighting):
    """Weights l_t / norm(g_t) + n s_t of a bilevel problem with the constraint that sum of s_t L_t is near its minimum.

    Ye et al., "A First-Order Multi-Gradient Algorithm for Multi-Objective Bi-Level Optimization", ECAI 2024 (arXiv
    2401.09257), in the form of the authors' code for multi-task learning. s = softmax(a) weighs the lower level, whose
    objective f is the sum of s_t L_t. ``inner_steps`` steps of gradient descent on f from the network lead to losses
    L'; q is the gradient of f - sum of s_t L'_t with respect to network and a, L' taken as constant in the network.
    With u_t = g_t / norm(g_t) and pi_t = rho - u_t . q / norm(q)^2, l is the running mean, of rate (epoch + 1)^(-3/4),
    of the l on the simplex that minimise norm(sum of l_t u_t + n q)^2 - rho norm(q)^2 n, n = max(sum of l_t pi_t, 0).
    The network moves along sum of l_t u_t + n q, and a along n times q's part by an Adam of its own. Gradients are
    those of all parameters.

    Departures: there two batches of the training set serve the two levels of a step; here both see the batch of the
    step, so that the direction is a weighted sum of its T losses. The problem is solved exactly, for up to 12 tasks;
    it is the code's, which weighs n half as much as the dual of "least max of u_t . d + norm(d)^2 / 2 with q . d at
    most -rho norm(q)^2" does. A step costs T + inner_steps backward and inner_steps + 2 forward passes more.
    """

    display: ClassVar[str] = "FORUM"
    paper: ClassVar[str] = "Ye et al., ECAI 2024 (arXiv 2401.09257)"
    paper_title: ClassVar[str] = "A First-Order Multi-Gradient Algorithm for Multi-Objective Bi-Level Optimization"
    looks_ahead: ClassVar[bool] = True

    logits: Tensor
    shares: Tensor
    rate: Tensor
    factors: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        rho: Annotated[
            float, Field(gt=0, description="how much of its length the constraint's gradient must fall"),
            Search(values=(0.05, 0.1, 0.3, 0.5)),
        ] = 0.1,
        inner_rate: Annotated[
            float, Field(gt=0, description="learning rate of the inner steps"), Search(1e-3, 1.0, log=True)
        ] = 0.1,
        inner_steps: Annotated[int, Field(ge=1, le=100, description="inner steps for each step")] = 5,
        learning_rate: Annotated[float, Field(gt=0, description="of the lower level's own Adam")] = 0.001,
    ) -> None:  # fmt: skip
        super().__init__(tasks)
        require_few_tasks(self, MOST_TASKS)
        self.rho, self.inner_rate, self.inner_steps = rho, inner_rate, inner_steps
        even = torch.full((self.count,), 1.0 / self.count, dtype=torch.float64)
        self.register_buffer("logits", torch.zeros(self.count))
        self.register_buffer("shares", even.clone())
        self.register_buffer("rate", torch.ones((), dtype=torch.float64))
        self.register_buffer("factors", even)
        self.adam = BufferedAdam(self.count, learning_rate)

    def begin_epoch(self, epoch: int, history: Sequence[Sequence[float]]) -> None:
        """The rate of the running mean; in a buffer, because an epoch may go on in another process."""
        self.rate.fill_((epoch + 1) ** -0.75)

    def prepare_step(self, model: nn.Module, losses_on: Callable[[str], list[Tensor]], learning_rate: float) -> None:
        """Find the weights of the step; leaves the parameters of ``model`` as they were."""
        if self.count == 1:
            return
        parameters: list[Tensor] = [parameter for parameter in model.parameters() if parameter.requires_grad]
        here = losses_on("train")
        found = gradients(self, here, parameters)
        gram = torch.stack([torch.stack([dot(one, other) for other in found]) for one in found])
        del found
        low = self.logits.double().softmax(0)
        gap = detached(here).double() - self._after_inner_steps(parameters, losses_on, low)
        gap = softmax_gradient(self.logits.double(), gap)
        lengths = gram.diagonal().sqrt() + _SMALLEST
        along, square = gram @ low / lengths, low @ gram @ low + gap.square().sum() + _SMALLEST
        best, _ = constrained_min_norm(gram / (lengths[:, None] * lengths), along, square, self.rho)
        shares = self.shares + self.rate * (best - self.shares)
        n = (shares @ (self.rho - along / square)).clamp_min(0.0)
        # A loss without a gradient would get a weight of 1e8 that nothing comes of.
        factors = torch.where(gram.diagonal() > 0, shares / lengths, 0.0) + n * low
        usable = factors.isfinite().all() & gap.isfinite().all()
        self.shares.copy_(torch.where(usable, shares, self.shares))
        self.factors.copy_(torch.where(usable, factors, 1.0 / self.count))
        self.adam.step(self.logits, torch.where(usable, n * gap, 0.0))

    def weights(self, losses: Tensor) -> Tensor:
        """The weights (T,) that were found before the step."""
        return self.factors.clone()

    def _after_inner_steps(
        self, parameters: list[Tensor], losses_on: Callable[[str], list[Tensor]], low: Tensor
    ) -> Tensor:
        """The losses (T,) after descent on the weighted sum; the parameters are put back."""
        saved = [parameter.detach().clone() for parameter in parameters]
        try:
            for _ in range(self.inner_steps):
                losses = losses_on("train")
                total = torch.stack(losses) @ low.to(losses[0].dtype)
                gradient = gradients(self, [total], parameters)[0]
                length = torch.where(total.detach() <= _DIVERGED, -self.inner_rate, 0.0)
                with torch.no_grad():
                    torch._foreach_add_(parameters, torch._foreach_mul(gradient, length.to(gradient[0].dtype)))
            with torch.no_grad():
                return detached(losses_on("train")).double()
        finally:
            with torch.no_grad():
                torch._foreach_copy_(parameters, saved)
