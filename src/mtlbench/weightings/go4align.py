"""Group optimisation: tasks with similar relative risk share one weight."""

import itertools
from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlbench.plan.options import Search
from mtlbench.weightings import Weighting, positive


class GO4Align(Weighting):
    """Weights p_t (sum L) / L_t, replaced by the mean of their group; p follows exp(-step_size L).

    Shen et al., "GO4Align: Group Optimization for Multi-Task Alignment", NeurIPS 2024 (arXiv 2404.06486), as in the
    authors' code: p_t is multiplied by exp(-step_size L_t) and divided by its sum at every step, starting at 1/T; the
    T values p_t (sum L) / L_t are clustered by k-means and each task gets the centre of its cluster.

    Departure: k-means of T numbers is solved exactly (the best cut of the sorted values); the code starts from
    random centres. Losses below 1e-12 count as 1e-12.
    """

    display: ClassVar[str] = "GO4Align"
    paper: ClassVar[str] = "Shen et al., NeurIPS 2024 (arXiv 2404.06486)"
    paper_title: ClassVar[str] = "GO4Align: Group Optimization for Multi-Task Alignment"

    indicators: Tensor
    partitions: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        *,
        groups: Annotated[int, Field(ge=1, description="clusters of tasks, at most as many as tasks")] = 2,
        step_size: Annotated[
            float, Field(ge=0, description="of the risk-guided group indicators"), Search(1e-5, 1e-1, log=True)
        ] = 0.0001,
    ) -> None:
        super().__init__(tasks)
        self.step_size = step_size
        self.register_buffer("indicators", torch.full((self.count,), 1.0 / self.count))
        self.register_buffer("partitions", _partitions(self.count, min(groups, self.count)), persistent=False)

    def weights(self, losses: Tensor) -> Tensor:
        """The group weights (T,)."""
        losses = positive(losses)
        # In logarithms: exp(-step_size L) alone would vanish for huge losses.
        self.indicators.copy_(torch.softmax(self.indicators.log() - self.step_size * losses, dim=0))
        return self._group_means(self.indicators * losses.sum() / losses)

    def _group_means(self, values: Tensor) -> Tensor:
        """Each value replaced by the mean of its cluster in the best partition of the sorted values."""
        ordered, order = values.sort()
        members = self.partitions.to(values.dtype)
        means = members @ ordered[:, None] / members.sum(2, keepdim=True)
        replaced = (members.mT @ means).squeeze(2)
        spread = (replaced - ordered).square().sum(1)
        best = replaced.index_select(0, spread.argmin().reshape(1)).squeeze(0)
        return best.gather(0, order.argsort())


def _partitions(count: int, groups: int) -> Tensor:
    """Membership (partitions, groups, count) of all cuts of a row of ``count`` into ``groups`` parts."""
    found = []
    for cuts in itertools.combinations(range(1, count), groups - 1):
        edges = [0, *cuts, count]
        found.append([[edges[g] <= i < edges[g + 1] for i in range(count)] for g in range(groups)])
    return torch.tensor(found)
