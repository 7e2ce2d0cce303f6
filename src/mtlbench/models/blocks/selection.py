"""DSelect-k: a differentiable gate that can choose a few of n experts exactly.

Hazimeh et al., NeurIPS 2021 (arXiv 2106.03760), section 3: a selector has log2(n) numbers, one for each binary digit of
an expert's number; the smooth step (arXiv 2002.07772) makes them 0 or 1, or something between them while it learns.
"""

import functools
from typing import ClassVar

import torch
from torch import Tensor, nn


class Selection(nn.Module):
    """Features (N, inputs) -> weights (N, experts), not negative and of sum 1: the mean of ``selectors`` choices.

    q = sum_j softmax(a)_j r(z_j), r(z)_i = product over the digits b of i of S(z_b) where the digit is 1 and
    1 - S(z_b) where it is 0, z and a linear in the features. ``experts`` is a power of two, so that every
    choice is an expert. Start as in the authors' code: z within gamma / 100, a within 0.05.
    """

    diagram: ClassVar[str] = "linear"

    def __init__(self, inputs: int, experts: int, selectors: int, gamma: float) -> None:
        super().__init__()
        digits = experts.bit_length() - 1
        self.gamma = gamma
        self.digits = nn.Linear(inputs, selectors * digits)
        self.shares = nn.Linear(inputs, selectors)
        for layer, reach in ((self.digits, gamma / 100), (self.shares, 0.05)):
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -reach, reach)
        numbers, places = torch.arange(experts)[:, None], torch.arange(digits - 1, -1, -1)
        self.register_buffer("codes", ((numbers >> places) & 1).bool(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        steps = smooth_step(self.digits(features) / self.gamma)
        steps = steps.unflatten(1, (self.shares.out_features, 1, -1))
        chosen = functools.reduce(torch.mul, torch.where(self.codes, steps, 1 - steps).unbind(-1))
        return (self.shares(features).softmax(1)[..., None] * chosen).sum(1)


def smooth_step(x: Tensor) -> Tensor:
    """0 up to x = -1/2, 1 from x = 1/2 on, between them the cubic with slope 0 at both ends: 1/2 + 3/2 x - 2 x^3."""
    x = (x + 0.5).clamp(0, 1)
    return x * x * (3 - 2 * x)
