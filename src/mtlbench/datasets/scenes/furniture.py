"""Pieces of furniture out of solids, in the 13 classes of NYU Depth V2.

A piece is built in its own coordinates (x right, y down with the floor at 0, z towards its back) and then turned
and moved into the room.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from mtlbench.datasets.scenes.draw import Draw
from mtlbench.datasets.scenes.solids import Item, Material, Point, Rotation, Solid, turned

CLASSES = (
    "bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa", "table", "tv", "wall",
    "window",
)  # fmt: skip
BED, BOOKS, CEILING, CHAIR, FLOOR, FURNITURE, OBJECTS, PICTURE, SOFA, TABLE, TV, WALL, WINDOW = range(13)

#: Typical colours (sRGB, 0 to 1) of a class; each piece takes one of them, shifted a little.
PALETTE: dict[int, tuple[Point, ...]] = {
    BED: ((0.55, 0.65, 0.85), (0.85, 0.85, 0.92), (0.60, 0.50, 0.75)),
    BOOKS: ((0.70, 0.25, 0.20), (0.20, 0.35, 0.60), (0.85, 0.75, 0.45)),
    CEILING: ((0.92, 0.92, 0.90), (0.86, 0.85, 0.80)),
    CHAIR: ((0.20, 0.42, 0.26), (0.16, 0.17, 0.18), (0.35, 0.52, 0.25)),
    FLOOR: ((0.50, 0.36, 0.24), (0.45, 0.44, 0.43), (0.62, 0.50, 0.36)),
    FURNITURE: ((0.40, 0.24, 0.14), (0.80, 0.78, 0.72), (0.30, 0.20, 0.15)),
    OBJECTS: ((0.90, 0.55, 0.10), (0.10, 0.62, 0.60), (0.85, 0.20, 0.50), (0.92, 0.85, 0.20)),
    PICTURE: ((0.25, 0.45, 0.70), (0.70, 0.40, 0.25), (0.35, 0.60, 0.35)),
    SOFA: ((0.60, 0.16, 0.14), (0.45, 0.30, 0.22), (0.70, 0.62, 0.50)),
    TABLE: ((0.72, 0.50, 0.28), (0.60, 0.38, 0.18), (0.82, 0.68, 0.48)),
    TV: ((0.04, 0.04, 0.05), (0.08, 0.09, 0.12)),
    WALL: ((0.80, 0.76, 0.66), (0.66, 0.74, 0.72), (0.82, 0.80, 0.80), (0.72, 0.66, 0.60)),
    WINDOW: ((0.75, 0.88, 1.00), (0.90, 0.95, 1.00)),
}


def paint(draw: Draw, label: int, pattern: str = "plain", scale: float = 0.3, contrast: float = 0.25) -> Material:
    """A material of the class's colours."""
    base = draw.choice(PALETTE[label])
    colour = tuple(min(1.0, max(0.01, c + draw.uniform(-0.06, 0.06))) for c in base)
    second = tuple(min(1.0, max(0.01, c * (1 + draw.uniform(-1.5, 0.5) * contrast))) for c in colour)
    first, other = (tuple(c**2.2 for c in rgb) for rgb in (colour, second))
    return Material(first, other, pattern, scale, draw.integer(1 << 16))  # type: ignore[arg-type]


def box(low: Point, high: Point, label: int, material: Material, rotation: Rotation | None = None) -> Solid:
    """A box between two corners."""
    centre = tuple((a + b) / 2 for a, b in zip(low, high, strict=True))
    half = tuple(abs(b - a) / 2 for a, b in zip(low, high, strict=True))
    solid = Solid("box", centre, half, label, material)  # type: ignore[arg-type]
    return replace(solid, rotation=rotation) if rotation else solid


def pillar(x: float, z: float, low: float, high: float, radius: float, label: int, material: Material,
           taper: float = 1.0) -> Solid:  # fmt: skip
    """An upright cylinder or cone between the heights ``low`` and ``high`` above the floor."""
    return Solid("frustum", (x, -(low + high) / 2, z), (radius, (high - low) / 2, radius), label, material, taper=taper)


def bed(draw: Draw) -> tuple[list[Solid], float, float]:
    """Mattress, headboard, pillows and perhaps a folded blanket. Returns solids, width and depth."""
    width, depth, height = draw.uniform(0.9, 1.7), draw.uniform(1.9, 2.1), draw.uniform(0.4, 0.6)
    cloth = paint(draw, BED, draw.choice(("plain", "stripes", "checker", "spots")), draw.uniform(0.15, 0.4))
    wood = paint(draw, BED, "grain", 0.1)
    x, z = width / 2, depth / 2
    solids = [
        box((-x, -height, -z), (x, -0.12, z), BED, cloth),
        box((-x, -height - draw.uniform(0.25, 0.6), z), (x, 0.0, z + 0.06), BED, wood),
    ]
    for k in range(2 if width > 1.3 else 1):
        side = (k - 0.5) * x if width > 1.3 else 0.0
        pillow = (min(0.32, x * 0.8), 0.09, 0.2)
        turn = turned(draw.uniform(-0.3, 0.3))
        solids.append(Solid("ellipsoid", (side, -height - 0.05, z - 0.3), pillow, BED, paint(draw, BED), turn))
    return solids, width, depth + 0.12


def sofa(draw: Draw) -> tuple[list[Solid], float, float]:
    """Seat, back, two arms and cushions."""
    width, depth, seat = draw.uniform(1.3, 2.2), draw.uniform(0.8, 1.0), draw.uniform(0.38, 0.48)
    cloth = paint(draw, SOFA, draw.choice(("plain", "stripes", "spots")), draw.uniform(0.08, 0.25))
    x, z, back = width / 2, depth / 2, seat + draw.uniform(0.3, 0.45)
    solids = [
        box((-x, -seat, -z), (x, -0.05, z), SOFA, cloth),
        box((-x, -back, z - 0.2), (x, -seat, z), SOFA, cloth),
        box((-x, -seat - 0.2, -z), (-x + 0.16, -seat, z), SOFA, cloth),
        box((x - 0.16, -seat - 0.2, -z), (x, -seat, z), SOFA, cloth),
    ]
    for _ in range(draw.integer(3)):
        place = (draw.uniform(-x + 0.4, x - 0.4), -seat - 0.16, z - 0.3)
        turn = turned(draw.uniform(-0.4, 0.4))
        solids.append(Solid("ellipsoid", place, (0.2, 0.17, 0.1), SOFA, paint(draw, SOFA, "stripes", 0.1), turn))
    return solids, width, depth


def table(draw: Draw) -> tuple[list[Solid], float, float]:
    """A round or rectangular table with things on it."""
    width, depth, height = draw.uniform(0.7, 1.6), draw.uniform(0.6, 0.9), draw.uniform(0.45, 0.78)
    wood = paint(draw, TABLE, "grain", draw.uniform(0.06, 0.15))
    x, z = width / 2, depth / 2
    if draw.chance(0.35):
        x = z = max(x, z)
        width = depth = 2 * x
        solids = [
            pillar(0, 0, height - 0.04, height, x, TABLE, wood),
            pillar(0, 0, 0.0, height - 0.04, 0.06, TABLE, wood),
            pillar(0, 0, 0.0, 0.04, x * 0.5, TABLE, wood),
        ]
    else:
        solids = [box((-x, -height, -z), (x, -height + 0.05, z), TABLE, wood)]
        for right in (-1, 1):
            for far in (-1, 1):
                leg = (right * (x - 0.06), far * (z - 0.06))
                solids.append(pillar(*leg, 0.0, height - 0.05, 0.035, TABLE, wood))
    for _ in range(draw.integer(4)):
        solids += thing(draw, draw.uniform(-0.6, 0.6) * x, draw.uniform(-0.6, 0.6) * z, height)
    return solids, width, depth


def chair(draw: Draw) -> tuple[list[Solid], float, float]:
    """Seat, back and four legs, or an office chair on one foot."""
    half, seat = draw.uniform(0.2, 0.26), draw.uniform(0.42, 0.5)
    cloth = paint(draw, CHAIR, draw.choice(("plain", "stripes", "spots")), 0.12)
    back = seat + draw.uniform(0.35, 0.5)
    solids = [
        box((-half, -seat - 0.04, -half), (half, -seat + 0.03, half), CHAIR, cloth),
        box((-half, -back, half - 0.05), (half, -seat, half), CHAIR, cloth),
    ]
    if draw.chance(0.4):
        solids += [pillar(0, 0, 0.05, seat, 0.03, CHAIR, cloth), pillar(0, 0, 0, 0.06, 0.25, CHAIR, cloth, 0.3)]
    else:
        solids += [pillar(a * (half - 0.03), b * (half - 0.03), 0, seat, 0.022, CHAIR, cloth)
                   for a in (-1, 1) for b in (-1, 1)]  # fmt: skip
    return solids, 2 * half, 2 * half


def cabinet(draw: Draw) -> tuple[list[Solid], float, float]:
    """A closed cupboard with things or books on top when it is low."""
    width, depth, height = draw.uniform(0.6, 1.6), draw.uniform(0.4, 0.6), draw.uniform(0.6, 2.0)
    wood = paint(draw, FURNITURE, draw.choice(("grain", "plain", "stripes")), draw.uniform(0.1, 0.5))
    x, z = width / 2, depth / 2
    solids = [box((-x, -height, -z), (x, 0.0, z), FURNITURE, wood)]
    if height < 1.4:
        for _ in range(1 + draw.integer(3)):
            solids += thing(draw, draw.uniform(-0.7, 0.7) * x, draw.uniform(-0.3, 0.3) * z, height)
        if draw.chance(0.5):
            solids.append(book_row(draw, draw.uniform(-0.4, 0.4) * x, 0.0, height))
    return solids, width, depth


def bookshelf(draw: Draw) -> tuple[list[Solid], float, float]:
    """Boards with rows of books."""
    width, depth, rows = draw.uniform(0.7, 1.3), 0.32, 3 + draw.integer(3)
    wood = paint(draw, FURNITURE, "grain", 0.1)
    x, z, step = width / 2, depth / 2, draw.uniform(0.34, 0.42)
    top = rows * step
    solids = [
        box((-x - 0.03, -top, -z), (-x, 0.0, z), FURNITURE, wood),
        box((x, -top, -z), (x + 0.03, 0.0, z), FURNITURE, wood),
        box((-x, -top, z - 0.02), (x, 0.0, z), FURNITURE, wood),
    ]
    for row in range(rows + 1):
        solids.append(box((-x, -row * step - 0.03, -z), (x, -row * step, z), FURNITURE, wood))
        if row < rows:
            half = x * draw.uniform(0.5, 0.98)
            shift = draw.uniform(-1, 1) * (x - half)
            height = step * draw.uniform(0.6, 0.85)
            spines = paint(draw, BOOKS, "stripes", draw.uniform(0.05, 0.09), 0.9)
            board = -row * step - 0.03
            low, high = (shift - half, board - height, -z * 0.8), (shift + half, board, z * 0.8)
            solids.append(box(low, high, BOOKS, spines))
    return solids, width + 0.06, depth


def television(draw: Draw) -> tuple[list[Solid], float, float]:
    """A screen on a low stand."""
    width, height = draw.uniform(0.8, 1.4), draw.uniform(0.4, 0.6)
    screen = width * draw.uniform(0.7, 1.0)
    wood = paint(draw, FURNITURE, "grain", 0.1)
    dark = paint(draw, TV)
    x = width / 2
    tall = screen * 0.58
    solids = [
        box((-x, -height, -0.22), (x, 0.0, 0.22), FURNITURE, wood),
        box((-screen / 2, -height - 0.08 - tall, -0.03), (screen / 2, -height - 0.08, 0.03), TV, dark),
        pillar(0, 0, height, height + 0.08, 0.12, TV, dark),
    ]
    return solids, width, 0.44


def lamp(draw: Draw) -> tuple[list[Solid], float, float]:
    """A standing lamp: foot, pole and a conical shade."""
    height = draw.uniform(1.3, 1.7)
    metal, shade = paint(draw, OBJECTS), paint(draw, OBJECTS, "stripes", 0.06)
    solids = [
        pillar(0, 0, 0.0, 0.04, 0.16, OBJECTS, metal, 0.6),
        pillar(0, 0, 0.0, height, 0.02, OBJECTS, metal),
        pillar(0, 0, height, height + 0.3, 0.22, OBJECTS, shade, 0.55),
    ]
    return solids, 0.44, 0.44


def clutter(draw: Draw) -> tuple[list[Solid], float, float]:
    """A ball, a turned box, a bin or a lying roll on the floor."""
    size = draw.uniform(0.14, 0.32)
    material = paint(draw, OBJECTS, draw.choice(("plain", "spots", "stripes", "checker")), draw.uniform(0.08, 0.2), 0.5)
    kind = draw.integer(4)
    if kind == 0:
        solid = Solid("ellipsoid", (0.0, -size, 0.0), (size, size, size), OBJECTS, material)
    elif kind == 1:
        solid = Solid("box", (0.0, -size, 0.0), (size, size, size * draw.uniform(0.5, 1.0)), OBJECTS, material)
    elif kind == 2:
        solid = Solid("frustum", (0.0, -size, 0.0), (size * 0.6, size, size * 0.6), OBJECTS, material,
                      taper=draw.uniform(0.6, 1.3))  # fmt: skip
    else:  # lying on its side: the local y axis is horizontal
        lying: Rotation = ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
        half = (size * 0.5, size * 1.3, size * 0.5)
        solid = Solid("frustum", (0.0, -size * 0.5, 0.0), half, OBJECTS, material, lying)
    return [solid], 2.6 * size, 2.6 * size


def thing(draw: Draw, x: float, z: float, height: float) -> list[Solid]:
    """A small thing that stands at height ``height``: a vase, a fruit, a parcel turned at random, a pile of books."""
    size = draw.uniform(0.06, 0.13)
    if draw.chance(0.25):
        return [book_row(draw, x, z, height)]
    material = paint(draw, OBJECTS, draw.choice(("plain", "spots", "stripes")), 0.06, 0.5)
    kind = draw.integer(4)
    if kind == 0:
        return [Solid("ellipsoid", (x, -height - size, z), (size, size, size), OBJECTS, material)]
    if kind == 1:
        return [pillar(x, z, height, height + 2.5 * size, 0.7 * size, OBJECTS, material, draw.uniform(0.4, 1.2))]
    if kind == 2:
        half = (size * 1.2, size * 0.8, size)
        return [Solid("box", (x, -height - half[1], z), half, OBJECTS, material, turned(draw.uniform(0, math.pi)))]
    tip = draw.tumbled()
    return [Solid("box", (x, -height - 1.4 * size, z), (size, size * 0.7, size * 0.8), OBJECTS, material, tip)]


def book_row(draw: Draw, x: float, z: float, height: float) -> Solid:
    """Books side by side."""
    half = (draw.uniform(0.1, 0.25), draw.uniform(0.08, 0.14), 0.1)
    spines = paint(draw, BOOKS, "stripes", draw.uniform(0.05, 0.09), 0.9)
    return Solid("box", (x, -height - half[1], z), half, BOOKS, spines, turned(draw.uniform(-0.5, 0.5)))


Builder = Callable[[Draw], tuple[list[Solid], float, float]]
#: Builder, how often it is drawn, whether it stands with its back to a wall.
PIECES: tuple[tuple[Builder, float, bool], ...] = (
    (bed, 1.3, True),
    (sofa, 1.5, True),
    (cabinet, 1.2, True),
    (bookshelf, 1.2, True),
    (television, 1.2, True),
    (table, 2.0, False),
    (chair, 2.2, False),
    (lamp, 0.6, False),
    (clutter, 1.6, False),
)


def place(solids: list[Solid], x: float, z: float, yaw: float) -> Item:
    """The solids turned by ``yaw`` and moved to (x, z) on the floor, as one item of the room."""
    c, s = math.cos(yaw), math.sin(yaw)
    moved = []
    for solid in solids:
        px, py, pz = solid.centre
        # A local axis a of the solid becomes (c ax + s az, ay, -s ax + c az) in the room.
        rows = tuple((c * a[0] + s * a[2], a[1], -s * a[0] + c * a[2]) for a in solid.rotation)
        moved.append(replace(solid, centre=(x + c * px + s * pz, py, z - s * px + c * pz), rotation=rows))  # type: ignore[arg-type]
    return Item(tuple(moved))
