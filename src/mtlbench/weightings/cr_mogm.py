"""CR-MOGM: another method's weights, smoothed over the steps."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import GradientWeighting
from mtlbench.weightings.cagrad import CAGrad
from mtlbench.weightings.imtl_g import IMTLG
from mtlbench.weightings.mgda import MGDA
from mtlbench.weightings.pcgrad import PCGrad

_METHODS: dict[str, type[GradientWeighting]] = {"mgda": MGDA, "pcgrad": PCGrad, "cagrad": CAGrad, "imtl_g": IMTLG}


class CRMOGM(GradientWeighting):
    """The running mean of the weights that ``method`` gives: w = alpha w + (1 - alpha) w_method, from its first ones.

    Zhou et al., "On the Convergence of Stochastic Multi-Objective Gradient Manipulation and Beyond", NeurIPS 2022:
    weights that change less from batch to batch make the stochastic methods converge. ``alpha`` is constant here; the
    paper's theory lets it grow to 1 as the learning rate falls. The method has its own defaults; ``solver_failed`` in
    the log is the method's.
    """

    display: ClassVar[str] = "CR-MOGM"
    paper: ClassVar[str] = "Zhou et al., NeurIPS 2022 (openreview ScwfQ7hdwyP)"
    paper_title: ClassVar[str] = "On the Convergence of Stochastic Multi-Objective Gradient Manipulation and Beyond"
    needs_gradients: ClassVar[bool] = True

    smoothed: Tensor
    started: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        method: Annotated[
            Literal["mgda", "pcgrad", "cagrad", "imtl_g"], Field(description="whose weights are smoothed")
        ] = "mgda",
        alpha: Annotated[
            float, Field(ge=0, lt=1, description="share of the old weights"), Search(values=(0.5, 0.9, 0.99))
        ] = 0.9,
    ) -> None:
        super().__init__(tasks)
        self.alpha = alpha
        self.method = _METHODS[method](tasks)
        self.register_buffer("smoothed", torch.zeros(self.count, dtype=torch.float64))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """The smoothed weights (T,)."""
        found = self.method.task_weights(gram, losses)
        if "solver_failed" in self.method.logs():
            self.record_failure(self.method.logs()["solver_failed"])
        mean = self.alpha * self.smoothed + (1.0 - self.alpha) * found
        self.smoothed.copy_(torch.where(self.started, mean, found))
        self.started.fill_(True)
        return self.smoothed.clone()
