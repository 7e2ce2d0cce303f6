"""Weighted sums of feature maps."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn


def mixture(weights: Tensor, features: Sequence[Tensor]) -> Tensor:
    """The sum of T feature maps (N, C, H, W) with weights (T, C), (T, 1) or (T, N, 1), in the type of the features."""
    weights = weights.to(features[0].dtype)[..., None, None]
    mixed = weights[0] * features[0]
    for weight, feature in zip(weights[1:], features[1:], strict=True):
        mixed = torch.addcmul(mixed, weight, feature)
    return mixed


class Blend(nn.Module):
    """Feature maps of T experts (N, C, H, W) blended for each image with the softmax of scores (N, T)."""

    diagram: ClassVar[str] = "mix"

    def forward(self, scores: Tensor, features: Sequence[Tensor]) -> Tensor:
        return mixture(scores.softmax(1).T[..., None], features)


class Mix(nn.Module):
    """Feature maps of T experts (N, C, H, W) summed for each image with weights (N, T)."""

    diagram: ClassVar[str] = "mix"

    def forward(self, weights: Tensor, features: Sequence[Tensor]) -> Tensor:
        return mixture(weights.T[..., None], features)
