"""Fixed weights from the parameter file."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from mtlbench.plan.options import Simplex, TaskWeights
from mtlbench.system.errors import ParamsError, nearest
from mtlbench.weightings import Weighting


class Static(Weighting):
    """The sum of w_t L_t with fixed weights; 1 for every task when none are given.

    In a cell of a single task the weights are ignored, like those of every weighting.
    """

    display: ClassVar[str] = "Static"
    paper: ClassVar[str] = "fixed scalarization (Xin et al., NeurIPS 2022, arXiv 2209.11379, discuss it)"
    compares_losses: ClassVar[bool] = False

    task_weights: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        weights: Annotated[TaskWeights, Simplex] = None,
    ) -> None:
        super().__init__(tasks)
        if weights is not None and self.count > 1:
            for name in weights:
                if name not in self.tasks:
                    raise ParamsError(f"static weights: unknown task '{name}'. {nearest(name, self.tasks)}")
            missing = [name for name in self.tasks if name not in weights]
            if missing:
                raise ParamsError(f"static weights: expected a weight for every task, found none for {missing}")
        values = [1.0 if weights is None else weights.get(name, 1.0) for name in self.tasks]
        self.register_buffer("task_weights", torch.tensor(values, dtype=torch.float32))

    def weights(self, losses: Tensor) -> Tensor:
        """The fixed weights (T,)."""
        return self.task_weights
