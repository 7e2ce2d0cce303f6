"""Ray casting of a room: one ray through each pixel's centre, exact label, depth and normal, shaded image."""

from dataclasses import dataclass

import numpy as np

from mtlbench.datasets.geometry.camera import Camera
from mtlbench.datasets.scenes.draw import Draw
from mtlbench.datasets.scenes.furniture import CEILING, FLOOR, WALL, WINDOW
from mtlbench.datasets.scenes.room import Room
from mtlbench.datasets.scenes.solids import Item, Point, Solid, Vector
from mtlbench.datasets.scenes.texture import colour

_WALL_NORMALS = ((-1, 0, 0), (1, 0, 0), (0, 0, -1), (0, 0, 1), (0, -1, 0), (0, 1, 0))


@dataclass(frozen=True)
class View:
    """What the camera sees: ``radiance`` (3, H, W) linear, ``label`` (H, W) int8, ``depth`` (H, W) metres,
    ``normals`` (3, H, W) unit vectors in camera axes, towards the camera; float64 where not said otherwise."""

    radiance: np.ndarray
    label: np.ndarray
    depth: np.ndarray
    normals: np.ndarray


def render(room: Room, camera: Camera, height: int, width: int, mirrored: bool = False) -> View:
    """The room as ``camera`` sees it; ``mirrored`` gives the view of the room mirrored at the camera's x = 0."""
    right, down = (array.ravel() for array in camera.directions(height, width))
    if mirrored:
        right = -right
    axes, here = room.pose.axes, room.pose.position
    direction: Vector = tuple(axes[0][k] * right + axes[1][k] * down + axes[2][k] for k in range(3))  # type: ignore[assignment]
    t, index, solids = cast(room.items, here, direction)
    shell, face = hit_shell(room, here, direction)
    depth = np.minimum(t, shell)
    point = tuple(o + depth * d for o, d in zip(here, direction, strict=True))
    surface = _Surfaces(point)
    for number, solid in enumerate(solids):
        surface.add_solid(np.flatnonzero((index == number) & (t < shell)), solid)
    for number in range(6):
        surface.add_face(np.flatnonzero((face == number) & (t >= shell)), room, number)
    radiance = _shade(room, surface, point)
    n = [sum(axes[k][j] * surface.normals[j] for j in range(3)) for k in range(3)]
    if mirrored:
        n[0] = -n[0]
    shape = (height, width)
    return View(
        radiance.reshape(3, *shape), surface.label.reshape(shape), depth.reshape(shape), np.stack(n).reshape(3, *shape)
    )


def cast(items: tuple[Item, ...], origin: Point, direction: Vector) -> tuple[np.ndarray, np.ndarray, list[Solid]]:
    """Nearest hit of each ray: its t (inf where none), the number of its solid, and the solids by number."""
    nearest = np.full(direction[0].shape, np.inf)
    index = np.full(direction[0].shape, -1)
    solids: list[Solid] = []
    for item in items:
        rays = item.may_hit(origin, direction)
        part = tuple(d[rays] for d in direction)
        for solid in item.solids:
            t = solid.hit(origin, part)
            closer = t < nearest[rays]
            nearest[rays[closer]] = t[closer]
            index[rays[closer]] = len(solids)
            solids.append(solid)
    return nearest, index, solids


def hit_shell(room: Room, origin: Point, direction: Vector) -> tuple[np.ndarray, np.ndarray]:
    """Where rays from inside leave the room: t and the face (0-3 walls, 4 floor, 5 ceiling)."""
    ends = ((room.half_width, -room.half_width), (room.half_depth, -room.half_depth), (0.0, -room.height))
    parts = []
    for axis, (high, low) in zip((0, 2, 1), ends, strict=True):
        step = np.where(np.abs(direction[axis]) < 1e-12, 1e-12, direction[axis])
        for end, towards in ((high, step > 0), (low, step < 0)):
            parts.append(np.where(towards, (end - origin[axis]) / step, np.inf))
    stacked = np.stack(parts)
    return stacked.min(0), stacked.argmin(0)


class _Surfaces:
    """Label, normal, colour and own light of the points that the rays met."""

    def __init__(self, point: Vector) -> None:
        self.point = point
        count = len(point[0])
        self.label = np.full(count, WALL, np.int8)
        self.normals = np.zeros((3, count))
        self.colour = np.zeros((3, count))
        self.glow = np.zeros(count)

    def add_solid(self, at: np.ndarray, solid: Solid) -> None:
        if not len(at):
            return
        p = solid.local_points(*(component[at] for component in self.point))
        unit = solid.normal(p)
        local = np.abs(np.stack([r[0] * unit[0] + r[1] * unit[1] + r[2] * unit[2] for r in solid.rotation]))
        side = local.argmax(0)
        x, y, z = (component * half for component, half in zip(p, solid.half, strict=True))
        self.label[at] = solid.label
        self.normals[:, at] = unit
        self.colour[:, at] = colour(solid.material, np.where(side == 0, z, x), np.where(side == 1, z, y))

    def add_face(self, at: np.ndarray, room: Room, face: int) -> None:
        if not len(at):
            return
        x, y, z = (component[at] for component in self.point)
        self.normals[:, at] = np.array(_WALL_NORMALS[face], np.float64)[:, None]
        if face >= 4:
            self.label[at] = FLOOR if face == 4 else CEILING
            self.colour[:, at] = colour(room.floor if face == 4 else room.ceiling, x, z)
            return
        along = z if face < 2 else x
        self.colour[:, at] = colour(room.walls[face], along, y)
        for patch in room.patches:
            inside = (along > patch.left) & (along < patch.right) & (-y > patch.low) & (-y < patch.high)
            if patch.wall != face or not inside.any():
                continue
            self.colour[:, at[inside]] = colour(patch.material, along[inside], y[inside])
            if patch.kind == "window":
                self.label[at[inside]] = WINDOW
                self._frame(at[inside], along[inside] - patch.left, -y[inside] - patch.low,
                            patch.right - patch.left, patch.high - patch.low)  # fmt: skip

    def _frame(self, at: np.ndarray, u: np.ndarray, v: np.ndarray, wide: float, tall: float) -> None:
        """A window: bright glass in a frame with a cross."""
        to_bar = np.minimum.reduce([u, wide - u, v, tall - v, np.abs(u - wide / 2) + 0.02, np.abs(v - tall / 2) + 0.02])
        frame = to_bar < 0.05
        self.glow[at] = np.where(frame, 0.0, 0.7 + 0.8 * v / tall)
        self.colour[:, at[frame]] = 0.75


def _shade(room: Room, surface: _Surfaces, point: Vector) -> np.ndarray:
    """Linear RGB (3, n): a lamp with shadows and distance falloff, soft light from above, window glow."""
    to_point = tuple(p - o for p, o in zip(point, room.lamp, strict=True))
    square = to_point[0] * to_point[0] + to_point[1] * to_point[1] + to_point[2] * to_point[2]
    n = surface.normals
    facing = -(n[0] * to_point[0] + n[1] * to_point[1] + n[2] * to_point[2]) / np.sqrt(square)
    lit = np.flatnonzero(facing > 0)
    blocked, _, _ = cast(room.items, room.lamp, tuple(component[lit] for component in to_point))  # type: ignore[arg-type]
    shadow = np.ones(len(facing))
    shadow[lit[blocked < 1 - 1e-3]] = 0.15
    lamp = np.maximum(facing, 0) * shadow * 2.6 / (1.2 + square)
    # Light from the ceiling's side and from one horizontal direction gives each orientation its own tone.
    soft = room.ambient * (1.0 - 0.35 * n[1] + 0.2 * n[0] + 0.1 * n[2])
    tint = (1 + 0.12 * room.warmth, 1.0, 1 - 0.15 * room.warmth)
    light = np.stack([lamp * tint[k] + soft for k in range(3)])
    return surface.colour * light + surface.glow * np.where(surface.glow > 0, surface.colour, 0)


def photograph(radiance: np.ndarray, draw: Draw, noise: float) -> np.ndarray:
    """An 8-bit sRGB picture (3, H, W) of linear light: exposure, vignetting, gamma, sensor noise, rounding.

    ``noise`` is the standard deviation in grey levels of 255 at middle brightness.
    """
    _, height, width = radiance.shape
    exposure = 0.28 / max(float(np.mean(np.minimum(radiance, 1.0))), 1e-3) * draw.uniform(0.75, 1.3)
    y = (np.arange(height) - (height - 1) / 2)[:, None] / height
    x = (np.arange(width) - (width - 1) / 2) / width
    light = np.clip(radiance * exposure * (1 - 0.35 * (x * x + y * y)), 0, 1)
    grey = 255 * light ** (1 / 2.2)
    return np.clip(np.rint(grey + noise * draw.noise(grey.shape)), 0, 255).astype(np.uint8)
