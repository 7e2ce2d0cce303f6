"""PIVRG: a fair allocation that favours the tasks which are furthest behind their single-task networks."""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import GradientWeighting
from mtlbench.weightings._equations import power_balance


class PIVRG(GradientWeighting):
    """Positive weights with G G^T w = (p / w)^(1/2), where p = T softmax(z / max((max z - min z) / ln 2, least)).

    z_t is by how many percent the metrics of task t are worse than those of its single-task network, so that p_t is
    at most twice p_s of any other task. Qin et al., "Revisiting Fairness in Multitask Learning: A Performance-Driven
    Approach for Variance Reduction", CVPR 2025, in the form of the authors' code; with p = 1, as in the first epoch, it
    is FairGrad.

    Departure: here z compares both networks on the same held-out images, at the end of the epoch before and at the
    best epoch of the single-task one, which the grid trains with the same seed. There it compares training metrics with
    published test metrics of single-task networks, so that it also follows how far each task overfits.
    """

    display: ClassVar[str] = "PIVRG (held-out)"
    paper: ClassVar[str] = "Qin et al., CVPR 2025"
    paper_title: ClassVar[str] = (
        "Revisiting Fairness in Multitask Learning: A Performance-Driven Approach for Variance Reduction"
    )
    needs_gradients: ClassVar[bool] = True
    wants_reference: ClassVar[bool] = True

    priority: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        least: Annotated[
            float, Field(gt=0, description="least temperature of the softmax, in percent"), Search(1.0, 100.0, log=True)
        ] = 10.0,
    ) -> None:
        super().__init__(tasks)
        self.least = least
        self.register_buffer("priority", torch.ones(self.count, dtype=torch.float64))

    def judge(self, shortfalls: Sequence[float]) -> None:
        """Set p (T,) from z (T,)."""
        z = torch.tensor(shortfalls, dtype=torch.float64)
        temperature = max(float(z.max() - z.min()) / math.log(2), self.least)
        self.priority.copy_(self.count * torch.softmax(z / temperature, 0))

    def logs(self) -> dict[str, Tensor]:
        """Those of every gradient method, and ``priority_<task>``, which is p."""
        return super().logs() | {f"priority_{task}": p for task, p in zip(self.tasks, self.priority, strict=True)}

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """The weights (T,): with w = u / p the equation is that of FairGrad for the Gram matrix of the g_t / p_t."""
        scaled, failed = power_balance(gram / self.priority[:, None] / self.priority, 0.5)
        self.record_failure(failed)
        return scaled / self.priority
