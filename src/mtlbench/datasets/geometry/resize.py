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
    rows, columns = nearest_pixels((map_.shape[-2], map_.shape[-1]), size)
    return map_[..., rows[:, None], columns]


def nearest_pixels(old: tuple[int, int], new: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The rows and the columns of a map of the size ``old`` that `resize_nearest` takes for the size ``new``."""
    rows, columns = (((np.arange(n) + 0.5) * o / n).astype(np.int64) for n, o in zip(new, old, strict=True))
    return rows, columns
