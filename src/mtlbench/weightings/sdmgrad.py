"""SDMGrad: minimum norm with a pull to the mean gradient, followed by a few steps on the weights."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import GradientWeighting
from mtlbench.weightings._optimise import onto_simplex


class SDMGrad(GradientWeighting):
    """The update (g_w + lambda g_0) / (1 + lambda), g_0 the mean; w descends |g_w + lambda g_0|^2 / 2 on the simplex.

    Xiao, Ban, Ji, "Direction-oriented Multi-objective Learning: Simple and Provable Stochastic Algorithms", NeurIPS
    2023 (arXiv 2305.18409), algorithm 1: projected gradient steps (with momentum, as in the authors' code) from the
    last weights; the Gram matrix is divided by the squared mean norm of the gradients.

    Departure: the paper draws three independent batches for one update, so that the products of gradients are
    unbiased. Here, as for every other weighting, a step sees one batch, and all products come from it. (In the authors'
    published code the three matrices of gradients are one tensor, so there, too, the last batch decides alone.)
    """

    display: ClassVar[str] = "SDMGrad"
    paper: ClassVar[str] = "Xiao et al., NeurIPS 2023 (arXiv 2305.18409)"
    paper_title: ClassVar[str] = (
        "Direction-oriented Multi-objective Learning: Simple and Provable Stochastic Algorithms"
    )
    needs_gradients: ClassVar[bool] = True

    shares: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        regularisation: Annotated[
            float, Field(ge=0, description="lambda, the pull to the mean gradient"), Search(0.1, 10.0, log=True)
        ] = 0.3,
        iterations: Annotated[int, Field(ge=1, le=1000, description="steps on the weights for each update")] = 20,
        learning_rate: Annotated[float, Field(gt=0, description="of the steps on the weights")] = 10.0,
        momentum: Annotated[float, Field(ge=0, lt=1, description="of the steps on the weights")] = 0.5,
    ) -> None:
        super().__init__(tasks)
        self.regularisation = regularisation
        self.iterations = iterations
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.register_buffer("shares", torch.full((self.count,), 1.0 / self.count, dtype=torch.float64))

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """The weights (T,), of sum 1."""
        scale = gram.diagonal().sqrt().mean().square()
        scaled = gram / torch.where(scale > 0, scale, torch.ones_like(scale))
        pull = self.regularisation / self.count
        velocity = torch.zeros_like(self.shares)
        shares = self.shares
        for _ in range(self.iterations):
            velocity = self.momentum * velocity + scaled @ (shares + pull)
            shares = onto_simplex(shares - self.learning_rate * velocity)
        self.shares.copy_(shares)
        return (shares + pull) / (1.0 + self.regularisation)
