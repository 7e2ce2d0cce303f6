"""Max-pooling over 2x2 windows that remembers where each maximum was, and its inverse.

``F.max_pool2d(..., return_indices=True)`` with ``F.max_unpool2d`` gives the same values, but not deterministically
on CUDA. Here both directions copy values, so they add nothing up and have one result:

    spread(v, p)[2i + a, 2j + b] = v[i, j] if p[i, j] = 2a + b else 0
    pick(x, p)[i, j]             = x[2i + p[i, j] // 2, 2j + p[i, j] % 2]

The two are adjoint: each one is the other's backward pass (and pooling itself is ``pick`` at the maxima). A position
is remembered as 0..3 (row by row) in one byte, and all of it is elementwise. On a CPU that is ten times slower than to
scatter and gather by index, so there a position is the index in its map, as ``F.max_pool2d`` counts: the same bits.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx


class MaxPool(nn.Module):
    """The maxima (N, C, H/2, W/2) over 2x2 windows and their positions (same shape; for MaxUnpool alone).

    Of equal values the first one in row-major order counts, as in ``F.max_pool2d``; NaN is passed on. H and W
    must be even.
    """

    diagram: ClassVar[str] = "pool"

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return _MaxPool.apply(x)


class CeilMaxPool(nn.Module):
    """The maxima over 2x2 windows of any map: (N, C, H, W) -> (N, C, ceil(H/2), ceil(W/2)).

    Where a side is odd, its last windows hold what is left ("ceil mode"), so the result has the size that a
    convolution with stride 2 and padding gives.
    """

    diagram: ClassVar[str] = "pool"

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if height % 2 or width % 2:
            x = F.pad(x, (0, width % 2, 0, height % 2), value=-torch.inf)
        maxima, _ = _MaxPool.apply(x)
        return maxima


class MaxUnpool(nn.Module):
    """Values (N, C, H, W) put back at their positions in 2x2 windows: (N, C, 2H, 2W), 0 elsewhere.

    Nearest-neighbour upsampling times the arg-max mask; equal to ``F.max_unpool2d`` bit for bit. The result is in
    channels-last memory order.
    """

    diagram: ClassVar[str] = "unpool"

    def forward(self, values: Tensor, positions: Tensor) -> Tensor:
        return _Spread.apply(values, positions)


def _corners(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]


def _pixels(x: Tensor) -> Tensor:
    """(N, C, H, W) as (N, H W, C): a view in the memory order of the network."""
    n, c, h, w = x.shape
    return x.permute(0, 2, 3, 1).reshape(n, h * w, c)


class _MaxPool(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        if x.device.type == "cpu" and not torch.compiler.is_compiling():
            maxima, index = F.max_pool2d(x, 2, return_indices=True)
            return maxima, index
        a, b, c, d = _corners(x)
        top, bottom = torch.maximum(a, b), torch.maximum(c, d)
        # Bytes and not booleans are chosen from: runtimes of exported networks have no choice between booleans.
        upper_row, lower_row = (a < b).to(torch.uint8), (c < d).to(torch.uint8) + 2
        return torch.maximum(top, bottom), torch.where(top < bottom, lower_row, upper_row)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor, _: Tensor | None) -> Tensor:
        return _Spread.apply(gradient, ctx.saved_tensors[0])


class _Spread(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor, positions: Tensor) -> Tensor:
        n, c, h, w = values.shape
        if positions.dtype == torch.int64:
            pixels = values.new_zeros(n, 4 * h * w, c).scatter_(1, _pixels(positions), _pixels(values))
            return pixels.view(n, 2 * h, 2 * w, c).permute(0, 3, 1, 2)
        # Channels last inside, so that the result is made in one pass in the memory order of the network.
        values = values.permute(0, 2, 3, 1).reshape(n, h, 1, w, 1, c)
        positions = positions.permute(0, 2, 3, 1).reshape(n, h, 1, w, 1, c)
        corner = torch.arange(4, dtype=torch.uint8, device=values.device).view(2, 1, 2, 1)
        spread = torch.where(positions == corner, values, values.new_zeros(()))
        return spread.reshape(n, 2 * h, 2 * w, c).permute(0, 3, 1, 2)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        return _Pick.apply(gradient, ctx.saved_tensors[0]), None


class _Pick(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, positions: Tensor) -> Tensor:
        if positions.dtype == torch.int64:
            n, _, h, w = positions.shape
            return _pixels(x).gather(1, _pixels(positions)).view(n, h, w, -1).permute(0, 3, 1, 2)
        a, b, c, d = _corners(x)
        return torch.where(positions < 2, torch.where(positions == 0, a, b), torch.where(positions == 2, c, d))

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        return _Spread.apply(gradient, ctx.saved_tensors[0]), None
