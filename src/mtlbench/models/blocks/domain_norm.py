"""BatchNorm of parts that domains share: one for all of them, or with statistics, or all of it, for each domain."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class DomainBatchNorm(nn.Module):
    """BatchNorm (N, C, H, W) of a batch of one domain: its own running mean and variance.

    ``affine``: also its own scale and offset (Bilen and Vedaldi, arXiv 1701.07275; Rebuffi et al., NeurIPS 2017, arXiv
    1705.08045), else those are of all domains. What ``norm`` holds is where every domain starts.
    """

    def __init__(self, norm: nn.BatchNorm2d, domains: Sequence[str], chosen: "DomainNorms", affine: bool) -> None:
        super().__init__()
        self.norms = nn.ModuleDict({name: _twin(norm, affine) for name in domains})
        self.weight: Tensor | None = None if affine else norm.weight
        self.bias: Tensor | None = None if affine else norm.bias
        self.chosen = chosen

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norms[self.chosen.domain](x)
        if self.weight is None or self.bias is None:
            return y
        shape = (1, -1, 1, 1)
        return torch.addcmul(self.bias.to(y.dtype).view(shape), y, self.weight.to(y.dtype).view(shape))


class DomainNorms:
    """Which domain's statistics the :class:`DomainBatchNorm` layers of a network use now.

    ``how``: "shared" or None leaves the parts as they are; "statistics" and "affine" exchange every BatchNorm of
    ``parts`` (in place; none may be one itself) for a :class:`DomainBatchNorm` of ``domains``.
    """

    def __init__(self, how: str | None, domains: Sequence[str], *parts: nn.Module) -> None:
        self.each = how not in (None, "shared")
        self.domain = domains[0]
        for part in parts if self.each else ():
            _exchange(part, lambda norm: DomainBatchNorm(norm, domains, self, affine=how == "affine"))

    def passes(self, domains: Sequence[str]) -> list[list[str]]:
        """Those of ``domains`` that are computed together: all at once where they share all statistics, or each alone.

        The caller sets ``domain`` to the first of each.
        """
        if self.each or not domains:
            return [[name] for name in domains]
        return [list(domains)]


def _twin(norm: nn.BatchNorm2d, affine: bool) -> nn.BatchNorm2d:
    twin = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum, affine=affine)
    state = norm.state_dict()
    twin.load_state_dict({name: state[name] for name in twin.state_dict()})
    return twin


def _exchange(part: nn.Module, make: Callable[[nn.BatchNorm2d], nn.Module]) -> None:
    for name, child in part.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(part, name, make(child))
        else:
            _exchange(child, make)
