"""Solids that a ray can hit: boxes, ellipsoids and frusta (cylinders, cones), turned in any way.

Each solid is one of three unit shapes, scaled by its half extents, turned and moved. Rays are taken into the
unit shape's coordinates, where the ray parameter t stays the same, so it is the depth when the rays have z = 1
in the camera. Sums are written out instead of using matrix products, whose order of adding differs between
machines.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

Vector = tuple[np.ndarray, np.ndarray, np.ndarray]
Point = tuple[float, float, float]
Rotation = tuple[Point, Point, Point]


@dataclass(frozen=True)
class Material:
    """Two colours (linear RGB, 0 to 1) mixed by a pattern on the surface; ``scale`` is its period in metres."""

    colour: Point
    second: Point
    pattern: Literal["plain", "checker", "stripes", "grain", "spots"] = "plain"
    scale: float = 0.3
    phase: int = 0


@dataclass(frozen=True)
class Solid:
    """A shape with its place, size and class.

    ``rotation`` holds the local axes as rows, in room coordinates. A frustum stands along its local y axis (down)
    with radii half[0], half[2] at the lower end and ``taper`` times those at the upper one.
    """

    shape: Literal["box", "ellipsoid", "frustum"]
    centre: Point
    half: Point
    label: int
    material: Material
    rotation: Rotation = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    taper: float = 1.0

    def to_local(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Vector:
        """Room directions in the coordinates of the unit shape."""
        pairs = zip(self.rotation, self.half, strict=True)
        return tuple((axis[0] * x + axis[1] * y + axis[2] * z) / half for axis, half in pairs)  # type: ignore[return-value]

    def to_room(self, normal: Vector) -> Vector:
        """Unit normals in room coordinates from normals of the unit shape."""
        n = [component / half for component, half in zip(normal, self.half, strict=True)]
        length = np.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2])
        r = self.rotation
        return tuple((r[0][k] * n[0] + r[1][k] * n[1] + r[2][k] * n[2]) / length for k in range(3))  # type: ignore[return-value]

    def hit(self, origin: Point, direction: Vector) -> np.ndarray:
        """The smallest positive t at which origin + t direction meets the surface; inf where it does not."""
        start = [component - c for component, c in zip(origin, self.centre, strict=True)]
        o = [float(component) for component in self.to_local(*start)]  # type: ignore[arg-type]
        d = self.to_local(*direction)
        if self.shape == "box":
            return _hit_box(o, d)
        if self.shape == "ellipsoid":
            return _hit_ellipsoid(o, d)
        return _hit_frustum(o, d, self.taper)

    def local_points(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Vector:
        """Room points in the coordinates of the unit shape."""
        return self.to_local(x - self.centre[0], y - self.centre[1], z - self.centre[2])

    def normal(self, p: Vector) -> Vector:
        """Outward unit normals (room coordinates) at surface points ``p`` of the unit shape."""
        if self.shape == "box":
            size = np.stack([np.abs(component) for component in p])
            face = size.argmax(0)
            return self.to_room(tuple(np.where(face == k, np.sign(p[k]), 0.0) for k in range(3)))  # type: ignore[arg-type]
        if self.shape == "ellipsoid":
            return self.to_room(p)
        middle, slope = (1 + self.taper) / 2, (1 - self.taper) / 2
        radius = middle + slope * p[1]
        square = p[0] * p[0] + p[2] * p[2]
        cap = (1 - np.abs(p[1])) < np.abs(np.sqrt(square) - radius)
        side = (p[0], -slope * radius, p[2])
        lid = (0.0, np.sign(p[1]), 0.0)
        return self.to_room(tuple(np.where(cap, lid[k], side[k]) for k in range(3)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Item:
    """A piece of furniture: solids that are tested together only where the ray meets their bounding ball."""

    solids: tuple[Solid, ...]

    @property
    def ball(self) -> tuple[Point, float]:
        """Centre and radius of a ball around all solids."""
        centre = tuple(sum(s.centre[k] for s in self.solids) / len(self.solids) for k in range(3))
        radius = max(math.dist(s.centre, centre) + math.hypot(*s.half) for s in self.solids)
        return centre, radius  # type: ignore[return-value]

    def may_hit(self, origin: Point, direction: Vector) -> np.ndarray:
        """Indices of the rays that meet the ball."""
        centre, radius = self.ball
        to = [c - o for c, o in zip(centre, origin, strict=True)]
        along = to[0] * direction[0] + to[1] * direction[1] + to[2] * direction[2]
        length = direction[0] * direction[0] + direction[1] * direction[1] + direction[2] * direction[2]
        square = to[0] * to[0] + to[1] * to[1] + to[2] * to[2]
        inside = square <= radius * radius
        return np.flatnonzero(inside | ((along > 0) & ((square - radius * radius) * length <= along * along)))


def _hit_box(o: list[float], d: Vector) -> np.ndarray:
    near, far = np.full(d[0].shape, -np.inf), np.full(d[0].shape, np.inf)
    for start, step in zip(o, d, strict=True):
        step = np.where(np.abs(step) < 1e-12, 1e-12, step)
        one, other = (-1 - start) / step, (1 - start) / step
        near, far = np.maximum(near, np.minimum(one, other)), np.minimum(far, np.maximum(one, other))
    return np.where((near <= far) & (near > 0), near, np.inf)


def _hit_ellipsoid(o: list[float], d: Vector) -> np.ndarray:
    a = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    b = o[0] * d[0] + o[1] * d[1] + o[2] * d[2]
    c = o[0] * o[0] + o[1] * o[1] + o[2] * o[2] - 1
    root = b * b - a * c
    t = (-b - np.sqrt(np.maximum(root, 0))) / a
    return np.where((root > 0) & (t > 0), t, np.inf)


def _hit_frustum(o: list[float], d: Vector, taper: float) -> np.ndarray:
    middle, slope = (1 + taper) / 2, (1 - taper) / 2
    radius = middle + slope * o[1]
    a = d[0] * d[0] + d[2] * d[2] - slope * slope * d[1] * d[1]
    b = o[0] * d[0] + o[2] * d[2] - slope * d[1] * radius
    c = o[0] * o[0] + o[2] * o[2] - radius * radius
    a = np.where(np.abs(a) < 1e-12, 1e-12, a)
    root = b * b - a * c
    square = np.sqrt(np.maximum(root, 0))
    best = np.full(a.shape, np.inf)
    for sign in (-1.0, 1.0):
        t = (-b + sign * square) / a
        inside = (root > 0) & (t > 0) & (np.abs(o[1] + t * d[1]) <= 1)
        best = np.where(inside & (t < best), t, best)
    fall = np.where(np.abs(d[1]) < 1e-12, 1e-12, d[1])
    for end in (-1.0, 1.0):
        t = (end - o[1]) / fall
        x, z = o[0] + t * d[0], o[2] + t * d[2]
        inside = (t > 0) & (x * x + z * z <= (middle + slope * end) ** 2)
        best = np.where(inside & (t < best), t, best)
    return best


def turned(yaw: float) -> Rotation:
    """Local axes of a solid that stands upright and is turned by ``yaw`` radians about the vertical."""
    c, s = math.cos(yaw), math.sin(yaw)
    return ((c, 0.0, -s), (0.0, 1.0, 0.0), (s, 0.0, c))


def tumbled(u: float, v: float, w: float) -> Rotation:
    """Uniformly random axes from three numbers in [0, 1) (Shoemake, Graphics Gems III, 1992)."""
    one, other = math.sqrt(1 - u), math.sqrt(u)
    a, b, c, d = (
        one * math.sin(2 * math.pi * v),
        one * math.cos(2 * math.pi * v),
        other * math.sin(2 * math.pi * w),
        other * math.cos(2 * math.pi * w),
    )
    return (
        (1 - 2 * (b * b + c * c), 2 * (a * b - c * d), 2 * (a * c + b * d)),
        (2 * (a * b + c * d), 1 - 2 * (a * a + c * c), 2 * (b * c - a * d)),
        (2 * (a * c - b * d), 2 * (b * c + a * d), 1 - 2 * (a * a + b * b)),
    )
