"""A furnished room: its walls, what hangs and stands in it, its lamp and the camera that looks at it."""

import math
from dataclasses import dataclass
from typing import Literal

from mtlbench.datasets.scenes.draw import Draw
from mtlbench.datasets.scenes.furniture import CEILING, FLOOR, PICTURE, PIECES, WALL, WINDOW, box, paint, place
from mtlbench.datasets.scenes.solids import Item, Material, Point, Rotation

# Walls by number: x = +half width, x = -half width, z = +half depth, z = -half depth.
_YAW_OF_WALL = (math.pi / 2, -math.pi / 2, 0.0, math.pi)


@dataclass(frozen=True)
class Patch:
    """A window or a door in a wall: a rectangle of the wall, so its depth and normals are the wall's."""

    wall: int
    left: float
    right: float
    low: float
    high: float
    kind: Literal["window", "door"]
    material: Material


@dataclass(frozen=True)
class Pose:
    """Where the camera is, and its axes (right, down, forward) in room coordinates."""

    position: Point
    axes: Rotation


@dataclass(frozen=True)
class Room:
    """Everything that is rendered. Room coordinates: y down, the floor at y = 0, the ceiling at y = -height."""

    half_width: float
    half_depth: float
    height: float
    walls: tuple[Material, ...]
    floor: Material
    ceiling: Material
    patches: tuple[Patch, ...]
    items: tuple[Item, ...]
    lamp: Point
    warmth: float
    ambient: float
    pose: Pose


def furnish(draw: Draw) -> Room:
    """A room with random size, materials, furniture, light and camera."""
    half_width, half_depth, height = draw.uniform(1.6, 3.0), draw.uniform(1.6, 3.0), draw.uniform(2.3, 2.9)
    pose = _pose(draw, half_width, half_depth)
    patches, pictures = _hang(draw, half_width, half_depth, height)
    wall = paint(draw, WALL, draw.choice(("plain", "plain", "stripes", "spots")), draw.uniform(0.1, 0.4), 0.12)
    odd = paint(draw, WALL, "plain", 0.5, 0.1)
    accent = draw.integer(4) if draw.chance(0.4) else -1
    walls = tuple(odd if k == accent else wall for k in range(4))
    floor = paint(draw, FLOOR, draw.choice(("grain", "checker", "plain", "stripes")), draw.uniform(0.12, 0.4), 0.35)
    lamp = (draw.uniform(-0.5, 0.5) * half_width, -height + 0.15, draw.uniform(-0.5, 0.5) * half_depth)
    return Room(
        half_width, half_depth, height, walls, floor, paint(draw, CEILING, "plain", 0.8, 0.06), patches,
        (*_stand(draw, half_width, half_depth, pose), *pictures), lamp,
        draw.uniform(-1, 1), draw.uniform(0.25, 0.45), pose,
    )  # fmt: skip


def _pose(draw: Draw, half_width: float, half_depth: float) -> Pose:
    """Eye height like a person's with a hand-held camera, near an edge of the room, looking across it."""
    edge = draw.integer(4)
    x = draw.uniform(-1, 1) * (half_width - 0.4)
    z = draw.uniform(-1, 1) * (half_depth - 0.4)
    if edge < 2:
        x = (1 - 2 * edge) * (half_width - draw.uniform(0.25, 0.6))
    else:
        z = (5 - 2 * edge) * (half_depth - draw.uniform(0.25, 0.6))
    yaw = math.atan2(draw.uniform(-0.5, 0.5) * half_width - x, draw.uniform(-0.5, 0.5) * half_depth - z)
    pitch, roll = math.radians(draw.uniform(-2, 22)), math.radians(draw.uniform(-4, 4))
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    right, forward, down = (cy, 0.0, -sy), (sy * cp, sp, cy * cp), (-sy * sp, cp, -cy * sp)
    cr, sr = math.cos(roll), math.sin(roll)
    axes = (
        tuple(cr * a + sr * b for a, b in zip(right, down, strict=True)),
        tuple(cr * b - sr * a for a, b in zip(right, down, strict=True)),
        forward,
    )
    return Pose((x, -draw.uniform(1.25, 1.65), z), axes)  # type: ignore[arg-type]


def _hang(draw: Draw, half_width: float, half_depth: float, height: float) -> tuple[tuple[Patch, ...], list[Item]]:
    """Windows, doors and pictures: each wall is cut into slots, and a slot holds one of them or nothing."""
    patches, pictures = [], []
    for wall in range(4):
        half = half_depth if wall < 2 else half_width
        slots = int(half / 0.8)
        for slot in range(slots):
            middle = -half + (slot + 0.5) * 2 * half / slots
            room = half / slots - 0.12
            kind = draw.weighted((0.25, 0.35, 0.3, 0.1))
            if kind == 1:
                wide, tall = draw.uniform(0.6, 1.0) * min(room, 0.8), draw.uniform(0.4, 0.65)
                centre = draw.uniform(1.35, 1.7)
                glass = paint(draw, WINDOW, "plain", 0.4)
                ends = (middle - wide, middle + wide, centre - tall, centre + tall)
                patches.append(Patch(wall, *ends, "window", glass))
            elif kind == 2:
                pictures.append(_picture(draw, wall, middle, room, half_width, half_depth))
            elif kind == 3:
                wood = paint(draw, WALL, "grain", 0.1)
                patches.append(Patch(wall, middle - 0.42, middle + 0.42, 0.0, min(2.05, height - 0.1), "door", wood))
    return tuple(patches), pictures


def _picture(draw: Draw, wall: int, middle: float, room: float, half_width: float, half_depth: float) -> Item:
    wide, tall = draw.uniform(0.5, 1.0) * min(room, 0.6), draw.uniform(0.2, 0.45)
    centre = draw.uniform(1.35, 1.75)
    frame = paint(draw, PICTURE, "plain", 0.1, 0.1)
    canvas = paint(draw, PICTURE, draw.choice(("spots", "checker", "stripes")), draw.uniform(0.08, 0.25), 0.9)
    solids = [
        box((-wide, -centre - tall, -0.02), (wide, -centre + tall, 0.0), PICTURE, frame),
        box((-0.88 * wide, -centre - 0.88 * tall, -0.03), (0.88 * wide, -centre + 0.88 * tall, -0.01), PICTURE, canvas),
    ]
    return place(solids, *_on_wall(wall, middle, 0.0, half_width, half_depth), _YAW_OF_WALL[wall])


def _on_wall(wall: int, along: float, away: float, half_width: float, half_depth: float) -> tuple[float, float]:
    """The floor position ``along`` a wall and ``away`` from it."""
    sign = 1 - 2 * (wall % 2)
    return (sign * (half_width - away), along) if wall < 2 else (along, sign * (half_depth - away))


def _stand(draw: Draw, half_width: float, half_depth: float, pose: Pose) -> list[Item]:
    """Furniture that stands on the floor without cutting each other, the walls or the camera."""
    here = (pose.position[0], pose.position[2])
    taken = [_corners(*here, 0.9, 0.9, 0.0)]
    items: list[Item] = []
    wanted = 6 + draw.integer(6)
    for _ in range(4 * wanted):
        if len(items) == wanted:
            break
        build, _, at_wall = PIECES[draw.weighted([weight for _, weight, _ in PIECES])]
        solids, width, depth = build(draw)
        if at_wall and draw.chance(0.85):
            wall = draw.integer(4)
            length = half_depth if wall < 2 else half_width
            along = draw.uniform(-1, 1) * max(0.0, length - width / 2)
            x, z = _on_wall(wall, along, depth / 2 + draw.uniform(0.02, 0.1), half_width, half_depth)
            yaw = _YAW_OF_WALL[wall] + draw.uniform(-0.04, 0.04)
        else:
            x, z = draw.uniform(-1, 1) * half_width, draw.uniform(-1, 1) * half_depth
            yaw = draw.uniform(-math.pi, math.pi)
        corners = _corners(x, z, width, depth, yaw)
        if all(abs(a) < half_width and abs(b) < half_depth for a, b in corners) and not any(
            _overlap(corners, other) for other in taken
        ):
            taken.append(corners)
            items.append(place(solids, x, z, yaw))
    return items


Corners = list[tuple[float, float]]


def _corners(x: float, z: float, width: float, depth: float, yaw: float) -> Corners:
    c, s = math.cos(yaw), math.sin(yaw)
    around = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return [(x + c * a * width / 2 + s * b * depth / 2, z - s * a * width / 2 + c * b * depth / 2) for a, b in around]


def _overlap(one: Corners, other: Corners) -> bool:
    """Whether two rectangles meet: no edge direction separates them (separating axis theorem)."""
    for shape in (one, other):
        for (ax, az), (bx, bz) in ((shape[0], shape[1]), (shape[1], shape[2])):
            axis = (bx - ax, bz - az)
            spans = [[axis[0] * x + axis[1] * z for x, z in corners] for corners in (one, other)]
            if max(spans[0]) < min(spans[1]) or max(spans[1]) < min(spans[0]):
                return False
    return True
