"""Dynamic weight average: tasks whose loss falls slowly weigh more."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import Weighting

# Keeps a ratio finite after an epoch without a valid pixel (mean loss 0).
_SMALLEST_MEAN = 1e-12


class DWA(Weighting):
    """Dynamic weight average: T softmax(r / temperature), r = ratio of a task's last two mean training losses.

    Liu, Johns, Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019 (arXiv 1803.10704), eq. 7:
    r_t = (mean loss of epoch e-1) / (mean loss of epoch e-2). Epochs 0 and 1 use weight 1. The means are of
    the unweighted training losses over a whole epoch.

    ``nash_mtl_iteration_window`` = n > 0 reproduces the variant of the nash-mtl, CAGrad and FAMO codes: r is the
    ratio of the means over the last n steps and the n steps before (missing steps count as loss 1), weights are 1 for
    the first n + 1 steps. Those codes also take the mean over the tasks instead of the sum, which is not done here.
    """

    display: ClassVar[str] = "DWA"
    paper: ClassVar[str] = "Liu et al., CVPR 2019 (arXiv 1803.10704)"
    paper_title: ClassVar[str] = "End-to-End Multi-Task Learning with Attention"
    compares_losses: ClassVar[bool] = False  # of a step: its weights come from whole epochs
    compares_epochs: ClassVar[bool] = True
    compares_losses_with: ClassVar[tuple[str, ...]] = ("nash_mtl_iteration_window",)

    epoch_weights: Tensor
    recent: Tensor
    steps: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        temperature: Annotated[
            float, Field(gt=0, description="softmax temperature; larger is nearer to equal"), Search(0.5, 8.0, log=True)
        ] = 2.0,
        nash_mtl_iteration_window: Annotated[
            int, Field(ge=0, description="steps per window as in the nash-mtl code (there 25); 0: epoch means")
        ] = 0,
    ) -> None:
        super().__init__(tasks)
        self.temperature = temperature
        self.window = nash_mtl_iteration_window
        self.register_buffer("epoch_weights", torch.ones(self.count))
        self.register_buffer("recent", torch.ones(2 * self.window, self.count))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def begin_epoch(self, epoch: int, history: Sequence[Sequence[float]]) -> None:
        """Set the epoch's weights from the last two epochs' mean losses."""
        if epoch < 2:
            self.epoch_weights.fill_(1.0)
            return
        last, before = torch.tensor([history[epoch - 1], history[epoch - 2]], dtype=torch.float64)
        self.epoch_weights.copy_(self._balance(last / before.clamp_min(_SMALLEST_MEAN)))

    def weights(self, losses: Tensor) -> Tensor:
        """The epoch's weights (T,), or those of the sliding windows."""
        if self.window == 0:
            return self.epoch_weights
        self.recent.copy_(torch.cat([self.recent[1:], losses[None]]))
        before, last = self.recent.unflatten(0, (2, self.window)).mean(1)
        balanced = self._balance(last / before.clamp_min(_SMALLEST_MEAN))
        started = self.steps > self.window
        self.steps += 1
        return torch.where(started, balanced, torch.ones_like(balanced))

    def _balance(self, ratios: Tensor) -> Tensor:
        return self.count * torch.softmax(ratios / self.temperature, dim=0)
