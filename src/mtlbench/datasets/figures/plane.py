"""Points of a picture in the figure's own coordinates, and edges with soft borders."""

from dataclasses import dataclass

import numpy as np

from mtlbench.datasets.scenes.draw import Draw


@dataclass(frozen=True)
class Plane:
    """Coordinates (H, W) of the pixel centres in a figure's frame, and the size of a pixel there."""

    x: np.ndarray
    y: np.ndarray
    pixel: float

    @classmethod
    def of(cls, size: tuple[int, int]) -> "Plane":
        """The picture's own frame: the origin in the middle, y down, the shorter side from -1 to 1."""
        height, width = size
        pixel = 2 / min(size)
        rows = (np.arange(height) + 0.5 - height / 2) * pixel
        columns = (np.arange(width) + 0.5 - width / 2) * pixel
        x, y = np.broadcast_arrays(columns[None, :], rows[:, None])
        return cls(x, y, pixel)

    def placed(self, draw: Draw, turn: float, largest: float = 0.8, smallest: float = 0.5) -> "Plane":
        """The frame of a figure at a random place, of a random size, turned by up to ``turn`` radians.

        A figure within the unit circle of this frame lies within the picture.
        """
        size, angle = draw.uniform(smallest, largest), draw.uniform(-turn, turn)
        room = 0.95 - size
        x, y = self.x - draw.uniform(-room, room), self.y - draw.uniform(-room, room)
        cos, sin = np.cos(angle), np.sin(angle)
        return Plane((cos * x + sin * y) / size, (cos * y - sin * x) / size, self.pixel / size)

    def reaching(self, radius: float) -> "Plane":
        """The frame in which a figure within the circle of ``radius`` lies where one of radius 1 lay before."""
        return Plane(self.x * radius, self.y * radius, self.pixel * radius)

    def inside(self, distance: np.ndarray) -> np.ndarray:
        """How much of each pixel lies where ``distance`` is negative, in [0, 1]."""
        return np.clip(0.5 - distance / self.pixel, 0, 1)

    def segment(self, start: tuple[float, float], end: tuple[float, float]) -> np.ndarray:
        """The distance (H, W) to a line from ``start`` to ``end``."""
        dx, dy = end[0] - start[0], end[1] - start[1]
        along = ((self.x - start[0]) * dx + (self.y - start[1]) * dy) / (dx * dx + dy * dy)
        along = np.clip(along, 0, 1)
        return np.hypot(self.x - start[0] - along * dx, self.y - start[1] - along * dy)

    def polygon(self, corners: int) -> np.ndarray:
        """The distance to the sides of a regular polygon whose corners lie on the unit circle; negative inside."""
        angle = np.arctan2(self.y, self.x)
        step = 2 * np.pi / corners
        offset = np.mod(angle, step) - step / 2
        return np.hypot(self.x, self.y) * np.cos(offset) - np.cos(step / 2)


def paint(coverage: np.ndarray, ink: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """``ink`` over ``ground``, colours (3,) or (3, H, W) in [0, 1], by the coverage (H, W): (3, H, W)."""
    ink, ground = (colour.reshape(3, *(colour.shape[1:] or (1, 1))) for colour in (ink, ground))
    return coverage * ink + (1 - coverage) * ground


def colour(draw: Draw, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """A random colour (3,)."""
    return np.array([draw.uniform(low, high) for _ in range(3)])
