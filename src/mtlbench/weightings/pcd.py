"""PCD: the main task's gradient, bent so far that every other task makes some progress."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import OneTask, Search
from mtlbench.system.errors import ParamsError
from mtlbench.weightings import GradientWeighting, require_few_tasks
from mtlbench.weightings._quadratic import MOST_TASKS, nearest_with_progress

_EPSILON = 1e-8


class PCD(GradientWeighting):
    """The d nearest to g_1 with g_j . d >= tau |g_j|^2 for all other tasks, on normalised gradients; length |g_1|.

    "Not All Objectives Are Born Equal: Priority-Constrained Descent for Hierarchical Multi-Objective Optimization",
    TMLR 2026 (arXiv 2606.29521). Gradients are divided by the root of the running mean (decay ``beta``, corrected for
    its start, plus 1e-8) of their squared length, so tau is the share of the progress that a step along the task's own
    normalised gradient would make. Where no d satisfies all constraints they are dropped (d = g_1). The tasks are not
    alike: one is the main one, ``primary``. Exact for up to 12 tasks.
    """

    display: ClassVar[str] = "PCD"
    paper: ClassVar[str] = "Varam and AlHajri, TMLR 2026 (arXiv 2606.29521)"
    paper_title: ClassVar[str] = (
        "Not All Objectives Are Born Equal: Priority-Constrained Descent for Hierarchical Multi-Objective Optimization"
    )
    needs_gradients: ClassVar[bool] = True

    squares: Tensor
    steps: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        primary: Annotated[str, Field(description="the main task; empty: the experiment's first one"), OneTask] = "",
        tau: Annotated[
            float, Field(ge=0, le=1, description="share of its own progress that every other task keeps"),
            Search(values=(0.0, 0.02, 0.1, 0.3)),
        ] = 0.02,
        beta: Annotated[float, Field(ge=0, lt=1, description="decay of the running mean of squared lengths")] = 0.999,
    ) -> None:  # fmt: skip
        super().__init__(tasks)
        require_few_tasks(self, MOST_TASKS)
        if primary and self.count > 1 and primary not in self.tasks:
            raise ParamsError(f"PCD: expected primary to be one of {', '.join(self.tasks)}, found '{primary}'")
        self.first = self.tasks.index(primary) if primary in self.tasks else 0
        self.tau, self.beta = tau, beta
        self.register_buffer("squares", torch.zeros(self.count, dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.float64))

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """The weights (T,)."""
        lengths = gram.diagonal()
        known = lengths.isfinite().all()
        self.steps += known
        self.squares.copy_(torch.where(known, self.beta * self.squares + (1 - self.beta) * lengths, self.squares))
        scale = (self.squares / (1 - self.beta**self.steps) + _EPSILON).rsqrt()
        normalised = torch.roll(scale[:, None] * gram * scale, (-self.first, -self.first), (0, 1))
        found, dropped = nearest_with_progress(normalised, self.tau)
        self.record_failure(dropped)
        weights = torch.roll(found, self.first) * scale
        length = (weights @ gram @ weights).clamp_min(0.0).sqrt()
        # What is left of a sum that cancels is rounding: then there is no direction.
        rounding = torch.finfo(gram.dtype).eps * self.count * (weights @ gram.abs() @ weights)
        none = length.square() <= rounding
        wanted = lengths[self.first].sqrt()
        return torch.where(none, 0.0, weights * (wanted / torch.where(none, 1.0, length)))
