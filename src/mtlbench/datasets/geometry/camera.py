"""A pinhole camera and how its numbers follow an image that is resized, cropped or mirrored."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """Intrinsics in pixels; the centre of the top left pixel has the coordinates (0, 0).

    Axes: x right, y down, z forward. A point (x, y, z) is seen at u = fx x / z + cx, v = fy y / z + cy.
    """

    fx: float
    fy: float
    cx: float
    cy: float

    def resized(self, old: tuple[int, int], new: tuple[int, int]) -> "Camera":
        """The camera of the same picture resized from ``old`` to ``new`` (height, width)."""
        down, right = new[0] / old[0], new[1] / old[1]
        return Camera(self.fx * right, self.fy * down, (self.cx + 0.5) * right - 0.5, (self.cy + 0.5) * down - 0.5)

    def cropped(self, top: float, left: float) -> "Camera":
        """The camera of the picture without its first ``top`` rows and ``left`` columns."""
        return Camera(self.fx, self.fy, self.cx - left, self.cy - top)

    def mirrored(self, width: int) -> "Camera":
        """The camera of the picture whose columns are reversed (of the scene mirrored at x = 0)."""
        return Camera(self.fx, self.fy, width - 1 - self.cx, self.cy)

    def directions(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """x / z and y / z of each pixel's ray: two float64 arrays (height, width)."""
        right = (np.arange(width, dtype=np.float64) - self.cx) / self.fx
        down = (np.arange(height, dtype=np.float64) - self.cy) / self.fy
        return np.broadcast_to(right, (height, width)), np.broadcast_to(down[:, None], (height, width))


#: The RGB camera of NYU Depth V2 (the authors' toolbox) and the size that it belongs to.
NYUV2_SIZE = (480, 640)
NYUV2_CAMERA = Camera(518.8579, 519.4696, 325.5824, 253.7362)
