"""Resizing pictures and maps; positions are aligned at pixel centres."""

import numpy as np
from PIL import Image


def resize_picture(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An 8-bit picture (H, W, 3) at ``size`` (height, width): bilinear, widened to an anti-aliasing filter when
    shrinking. Returns (H, W, 3) uint8."""
    if picture.shape[:2] == size:
        return picture
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def resize_nearest(map_: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map (..., H, W) at ``size``, each value taken from the nearest pixel: invalid values never mix in."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.int64) for new, old in zip(size, map_.shape[-2:], strict=True)
    )
    return map_[..., rows[:, None], columns]
