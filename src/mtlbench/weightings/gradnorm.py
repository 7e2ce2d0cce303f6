"""GradNorm: learned weights that bring the gradient norms to a common rate of training."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlbench.plan.options import Search
from mtlbench.weightings import GradientWeighting, positive
from mtlbench.weightings._optimise import softmax_gradient


class GradNorm(GradientWeighting):
    """Weights w = T softmax(s); s minimises the sum of abs(w_t |g_t| - m r_t^alpha), m the mean of w |g|.

    Chen et al., "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask Networks", ICML 2018
    (arXiv 1711.02257), eq. 1 and 2, with the target m r^alpha held constant; r_t = (L_t / L_t(0)) divided by its
    mean. L_t(0) is the mean training loss of epoch 0, in which all weights are 1.

    Departures, both as in LibMTL: the norm is over all shared parameters (the paper: the last shared layer); the
    weights are a softmax instead of being renormalised after each step. s is learned by the model's optimiser.
    """

    display: ClassVar[str] = "GradNorm"
    paper: ClassVar[str] = "Chen et al., ICML 2018 (arXiv 1711.02257)"
    paper_title: ClassVar[str] = (
        "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask Networks"
    )
    needs_gradients: ClassVar[bool] = True

    first_losses: Tensor
    started: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        alpha: Annotated[
            float, Field(ge=0, description="strength of the pull to a common rate of training"), Search(0.1, 3.0)
        ] = 1.5,
    ) -> None:
        super().__init__(tasks)
        self.alpha = alpha
        self.scores = nn.Parameter(torch.zeros(self.count))
        self.register_buffer("first_losses", torch.ones(self.count))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def begin_epoch(self, epoch: int, history: Sequence[Sequence[float]]) -> None:
        """After epoch 0: keep its mean losses and start."""
        self.started.fill_(epoch > 0)
        if epoch > 0:
            self.first_losses.copy_(torch.tensor(history[0]))

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """The weights (T,); leaves the gradient of the scores for the optimiser."""
        weights = self.count * torch.softmax(self.scores.detach().double(), dim=0)
        norms = gram.diagonal().sqrt()
        weighted = weights * norms
        rate = losses.double() / positive(self.first_losses).double()
        rate = rate / positive(rate.mean())
        distance = weighted - weighted.mean() * rate.clamp_min(0.0).pow(self.alpha)
        slope = softmax_gradient(self.scores.detach().double(), self.count * distance.sign() * norms)
        self.scores.grad = torch.where(self.started, slope, torch.zeros_like(slope)).to(self.scores.dtype)
        return torch.where(self.started, weights, torch.ones_like(weights))
