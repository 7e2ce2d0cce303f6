"""A raw map at another size, read as its task reads it, in bounded memory."""

import numpy as np
import torch
from torch import Tensor

from mtlbench.tasks import Task

#: Values of the enlarged raw map that exist at once (64 MB).
_MOST = 1 << 24


@torch.no_grad()
def decoded_at(raw: Tensor, size: tuple[int, int], task: Task, most: int = _MOST) -> np.ndarray:
    """The decoded map of one raw map (channels, h, w) at ``size`` (H, W): enlarged bilinearly, then activated.

    Pixel centres are aligned and the border's value is kept beyond it, as ``interpolate`` does. Made in bands of rows,
    so that 40 classes of a large photograph fit in memory. Where the size is the map's own, nothing is interpolated;
    the logits (K,) of a classified image have none.
    """
    if raw.dim() == 1 or raw.shape[1:] == size:
        found = task.decode(task.activate(raw[None]))[0]
    else:
        rows = max(1, most // (len(raw) * size[1]))
        bands = [_band(raw, size, top, min(top + rows, size[0])) for top in range(0, size[0], rows)]
        found = torch.cat([task.decode(task.activate(band))[0].cpu() for band in bands], -2)
    return found.cpu().numpy().astype(task.maps.dtype, copy=False)


def _band(raw: Tensor, size: tuple[int, int], top: int, bottom: int) -> Tensor:
    """Rows ``top`` to ``bottom`` (excluded) of the enlarged map: (1, channels, rows, W)."""
    y, x = (
        (torch.arange(start, stop, device=raw.device, dtype=torch.float64) + 0.5) / extent * 2 - 1
        for start, stop, extent in ((top, bottom, size[0]), (0, size[1], size[1]))
    )
    places = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1).to(torch.float32)
    return torch.nn.functional.grid_sample(
        raw[None].float(), places[None], mode="bilinear", padding_mode="border", align_corners=False
    )
