"""Bilinear resizing with aligned corners whose gradient is deterministic on every device.

The values are those of ``F.interpolate(..., mode="bilinear", align_corners=True)``. Its gradient on CUDA is either not
deterministic or, in deterministic mode, slow; here the adjoint operation is written out instead.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx


class BilinearTwice(nn.Module):
    """Features twice as large: (N, C, H, W) -> (N, C, 2H, 2W)."""

    diagram: ClassVar[str] = "upsample"

    def forward(self, x: Tensor) -> Tensor:
        return _Twice.apply(x)


class Bilinear(nn.Module):
    """Maps of few channels resized to (H, W): (N, C, h, w) -> (N, C, H, W), float32 at least (they are results)."""

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        return _Resize.apply(x.to(torch.promote_types(x.dtype, torch.float32)), size[0], size[1])


class _Twice(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.ops.aten.upsample_bilinear2d(x, [2 * x.shape[-2], 2 * x.shape[-1]], True)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        return _gather_pairs(_gather_pairs(gradient).mT).mT


def _gather_pairs(gradient: Tensor) -> Tensor:
    """The adjoint of doubling the last axis, of length L, by linear interpolation.

    Output 2i lies i / (2L - 1) before input i, output 2i + 1 lies (L - 1 - i) / (2L - 1) after it; each gives its
    gradient to the two inputs beside it, in proportion.
    """
    length = gradient.shape[-1] // 2
    exact = torch.promote_types(gradient.dtype, torch.float32)
    before = torch.arange(length, device=gradient.device, dtype=exact).div(2 * length - 1).to(gradient.dtype)
    after = before.flip(0)
    even, odd = gradient[..., ::2], gradient[..., 1::2]
    result = even * (1 - before) + odd * (1 - after)
    result[..., :-1] += (even * before)[..., 1:]
    result[..., 1:] += (odd * after)[..., :-1]
    return result


class _Resize(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, height: int, width: int) -> Tensor:
        return torch.ops.aten.upsample_bilinear2d(x, [height, width], True)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor, int, int], output: Tensor) -> None:
        ctx.size = inputs[0].shape[-2:]

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        rows = _weights(ctx.size[0], gradient.shape[-2], gradient)
        columns = _weights(ctx.size[1], gradient.shape[-1], gradient)
        return rows.mT @ gradient @ columns, None, None


def _weights(inputs: int, outputs: int, like: Tensor) -> Tensor:
    """The matrix (outputs, inputs) of linear resizing: at most two weights in a row, which sum to 1."""
    position = torch.arange(outputs, device=like.device, dtype=like.dtype) * ((inputs - 1) / max(outputs - 1, 1))
    distance = position[:, None] - torch.arange(inputs, device=like.device, dtype=like.dtype)
    return (1 - distance.abs()).clamp(min=0)
