"""Colours shared by all tasks' pictures."""

import colorsys
import functools

import numpy as np

#: Pixels without ground truth, in every picture.
INVALID = (188, 188, 188)

# Distinct in hue and lightness together, so that neighbours stay apart for colour-blind readers too.
_CLASSES = (
    (0, 114, 178), (230, 159, 0), (152, 223, 226), (0, 158, 115), (92, 64, 51), (204, 121, 167), (240, 228, 66),
    (213, 94, 0), (86, 180, 233), (136, 34, 85), (51, 34, 136), (232, 222, 200), (153, 153, 51), (255, 170, 160),
    (17, 85, 51), (170, 68, 153), (120, 200, 120), (255, 255, 190), (70, 70, 70), (130, 110, 220),
)  # fmt: skip


@functools.cache
def class_colours(classes: int) -> np.ndarray:
    """Colours (classes, 3) uint8; the first twenty are hand-picked, more are spread over the hues."""
    more = [_spread(i) for i in range(max(0, classes - len(_CLASSES)))]
    return np.array([*_CLASSES[:classes], *more], np.uint8).reshape(classes, 3)


def _spread(i: int) -> tuple[int, ...]:
    hue = (i * 0.618034) % 1.0
    return tuple(round(255 * c) for c in colorsys.hls_to_rgb(hue, (0.35, 0.55, 0.75)[i % 3], 0.65))


def colour_map(values: np.ndarray, low: float, high: float, name: str, valid: np.ndarray) -> np.ndarray:
    """Values (H, W) between ``low`` and ``high`` through a matplotlib colour map: (H, W, 3) uint8."""
    from matplotlib import colormaps

    scaled = np.clip((np.nan_to_num(values.astype(np.float32)) - low) / (high - low), 0, 1)
    picture = (colormaps[name](scaled)[..., :3] * 255).round().astype(np.uint8)
    picture[~valid] = INVALID
    return picture
