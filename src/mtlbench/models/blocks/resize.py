"""Bilinear resizing with aligned corners that is deterministic on every device."""

import torch
from torch import Tensor, nn


class BilinearTwice(nn.Module):
    """Bilinear upsampling by 2 with aligned corners: (N, C, H, W) -> (N, C, 2H, 2W).

    Equal to ``F.interpolate(scale_factor=2, mode="bilinear", align_corners=True)``, whose gradient on CUDA is
    either not deterministic or slow. Along one axis of length L output 2i lies i / (2L - 1) before
    input i, and output 2i + 1 lies (L - 1 - i) / (2L - 1) after it, so that neighbours are
    blended with weights that depend on i only.
    """

    def forward(self, x: Tensor) -> Tensor:
        return _double(_double(x, -2), -1)


def _double(x: Tensor, axis: int) -> Tensor:
    length = x.shape[axis]
    shape = [-1 if dimension == x.dim() + axis else 1 for dimension in range(x.dim())]
    exact = torch.promote_types(x.dtype, torch.float32)
    before = torch.arange(length, device=x.device, dtype=exact).div(2 * length - 1).to(x.dtype).view(shape)
    after = before.flip(axis)
    previous = torch.cat([x.narrow(axis, 0, 1), x.narrow(axis, 0, length - 1)], axis)
    following = torch.cat([x.narrow(axis, 1, length - 1), x.narrow(axis, length - 1, 1)], axis)
    even, odd = torch.lerp(x, previous, before), torch.lerp(x, following, after)
    return torch.stack([even, odd], x.dim() + axis + 1).flatten(x.dim() + axis, x.dim() + axis + 1)


class Bilinear(nn.Module):
    """Bilinear resizing with aligned corners to (H, W), for maps of few channels: (N, C, h, w) -> (N, C, H, W).

    Two products with constant matrices, in float32 at least, also under autocast: maps are results, not features.
    """

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        exact = torch.promote_types(x.dtype, torch.float32)
        device = x.device.type if torch.amp.is_autocast_available(x.device.type) else "cpu"  # meta has no autocast
        with torch.autocast(device, enabled=False):
            rows = _blend(x.shape[-2], size[0], x.device, exact)
            columns = _blend(x.shape[-1], size[1], x.device, exact)
            return rows @ x.to(exact) @ columns.mT


def _blend(inputs: int, outputs: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The matrix (outputs, inputs) of bilinear resizing: at most two weights in a row, which sum to 1."""
    position = torch.arange(outputs, device=device, dtype=dtype) * ((inputs - 1) / max(outputs - 1, 1))
    distance = position[:, None] - torch.arange(inputs, device=device, dtype=dtype)
    return (1 - distance.abs()).clamp(min=0)
