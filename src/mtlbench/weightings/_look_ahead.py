"""What methods share that differentiate the network by themselves before a step."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtlbench.weightings._base import Weighting


def gradients(weighting: Weighting, losses: Sequence[Tensor], parameters: Sequence[Tensor]) -> list[list[Tensor]]:
    """Each loss's gradient, of every parameter; zero for parameters that it does not reach."""
    found = []
    for number, loss in enumerate(losses):
        kept = number + 1 < len(losses)
        gradient = list(
            torch.autograd.grad(loss, parameters, retain_graph=kept, allow_unused=True, materialize_grads=True)
        )
        weighting.all_reduce(gradient)
        found.append(gradient)
    return found


def dot(one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
    """The product of two gradients, added up in float64."""
    return torch.stack([(a * b).sum(dtype=torch.float64) for a, b in zip(one, other, strict=True)]).sum()
