"""One picture of a folder as an array of a stated size."""

from pathlib import Path
from typing import Literal

import numpy as np

from mtlbench.datasets.geometry.resize import resize_picture
from mtlbench.datasets.raw.photos import read_rgb

#: How a picture of other proportions gets the stated size.
Fit = Literal["crop", "stretch"]


def read_fitted(path: Path, size: tuple[int, int], fit: Fit) -> np.ndarray:
    """The picture as (3, height, width) uint8; DataError when it cannot be read.

    "crop" resizes it until it covers ``size`` and cuts the middle out, "stretch" resizes height and width each.
    """
    picture = read_rgb(path)
    if fit == "crop":
        height, width = picture.shape[:2]
        factor = max(size[0] / height, size[1] / width)
        covering = (max(size[0], round(height * factor)), max(size[1], round(width * factor)))
        picture = resize_picture(picture, covering)
        top, left = (covering[0] - size[0]) // 2, (covering[1] - size[1]) // 2
        picture = picture[top : top + size[0], left : left + size[1]]
    return np.ascontiguousarray(np.moveaxis(resize_picture(picture, size), -1, 0))
