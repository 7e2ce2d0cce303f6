"""Loss discrepancy control: normalised losses that are pulled together."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import pad

from mtlbench.plan.options import Later, Search
from mtlbench.weightings import Features, Weighting, detached

#: The least and the greatest share of a task.
LIMITS = (0.2, 0.8)


class LDCMTL(Weighting):
    """The mean of the losses l_t = L_t / tau_t plus penalty times the sum of abs(l_t - l_t+1) over neighbouring tasks.

    Xiao et al., "LDC-MTL: Balancing Multi-Task Learning through Scalable Loss Discrepancy Control", 2025 (arXiv
    2502.08585), in the form of the authors' code for NYUv2: tau_t = L_t(0) / min L(0), where L_t(0) is the task's first
    loss above 0. Neighbours are those in the order of the tasks, so with three tasks or more the order counts.

    With ``router`` as there: sum of s_t l_t / sum of s_t + penalty times the sum of abs(s_t l_t - s_t+1 l_t+1). The
    shares s, cut to 0.2 to 0.8, are the softmax of one linear layer on the last features of all tasks, averaged over
    the pixels and the images of the batch. The layer and the network learn by the total, whose gradient flows through
    the features too. Where a share is at a limit, nothing flows through it; of more than five tasks some always are.
    Without it, the default here, all shares are 1.

    Departure: a loss that is not finite counts as 1 in the gradients of the other losses and of the shares.
    """

    display: ClassVar[str] = "LDC-MTL (no router)"
    display_with: ClassVar[tuple[tuple[str, str], ...]] = (("router", "LDC-MTL"),)
    paper: ClassVar[str] = "Xiao et al., 2025 (arXiv 2502.08585)"
    paper_title: ClassVar[str] = "LDC-MTL: Balancing Multi-Task Learning through Scalable Loss Discrepancy Control"

    first: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        penalty: Annotated[
            float,
            Field(ge=0, description="lambda, of the differences: 0.1 for Cityscapes, 0.05 for NYUv2"),
            Search(0.01, 1.0, log=True),
        ] = 0.1,
        router: Annotated[
            bool, Field(description="shares of the tasks learned from the network's last features"), Later
        ] = False,
    ) -> None:
        super().__init__(tasks)
        self.penalty = penalty
        self.reads_features = router and self.count > 1
        self.router: nn.Linear | None = None
        self._features: Features | None = None
        self._shares: Tensor | None = None
        self.register_buffer("first", torch.zeros(self.count))

    def attach(self, features: Features) -> None:
        """Make the router, which reads these features."""
        self._features = features
        self.router = nn.Linear(sum(features.channels.values()), self.count)

    def update(self, losses: Sequence[Tensor], shared: Sequence[nn.Parameter]) -> Tensor:
        """One pass over the weighted sum and, with the router, through the shares; returns the weights (T,)."""
        if not self.reads_features:
            return super().update(losses, shared)
        shares = self.shares()
        self._shares = shares.detach()
        values = detached(losses)
        weights, slopes = self._derivatives(torch.where(values.isfinite(), values, 1.0), self._shares)
        weights = weights.to(values.dtype)
        torch.autograd.backward([*losses, shares], [*weights.unbind(), slopes.to(shares.dtype)])
        return weights

    def shares(self) -> Tensor:
        """The shares (T,) of the last forward pass, with their graph; once for each pass."""
        if self.router is None or self._features is None:
            raise RuntimeError("ldc_mtl: with its router, attach(features) must be called before the first step")
        means = [self.whole_batch(rows).mean(0) for rows in self._features.take().values()]
        return torch.softmax(self.router(torch.cat(means)), 0).clamp(*LIMITS)

    def logs(self) -> dict[str, Tensor]:
        """``share_<task>``, with the router."""
        if self._shares is None:
            return {}
        return {f"share_{task}": share for task, share in zip(self.tasks, self._shares, strict=True)}

    def weights(self, losses: Tensor) -> Tensor:
        """The weights (T,) without the router: the derivative of the total by each loss; may be negative."""
        scale = self._scale(losses)
        return (1.0 / self.count + self.penalty * _discrepancy(losses / scale)) / scale

    def _derivatives(self, losses: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        """The derivatives (T,) of the total by each loss, and by each share."""
        scale = self._scale(losses)
        normalised = losses / scale
        own = shares * normalised
        inverse = 1.0 / shares.sum()
        discrepancy = self.penalty * _discrepancy(own)
        return shares * (inverse + discrepancy) / scale, (normalised - own.sum() * inverse) * inverse + (
            discrepancy * normalised
        )

    def _scale(self, losses: Tensor) -> Tensor:
        """tau (T,), from the first losses above 0."""
        self.first.copy_(torch.where(self.first > 0, self.first, losses.clamp_min(0.0)))
        seen = self.first > 0
        smallest = torch.where(seen, self.first, torch.inf).min()
        return torch.where(seen, self.first / smallest, 1.0)


def _discrepancy(values: Tensor) -> Tensor:
    """The derivative (T,) of the sum of abs(v_t - v_t+1) by each value."""
    above = (values[:-1] - values[1:]).sign()
    return pad(above, (0, 1)) - pad(above, (1, 0))
