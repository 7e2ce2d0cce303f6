"""The domains: each draws a picture (3, H, W) in [0, 1] of one of its classes, with a look of its own."""

import itertools
from collections.abc import Callable

import numpy as np

from mtlbench.datasets.figures.plane import Plane, colour, paint
from mtlbench.datasets.scenes.draw import Draw

SOLIDS = ("disc", "ring", "square", "triangle", "star", "cross")
SKETCHES = ("triangle", "square", "pentagon", "circle", "spiral", "zigzag", "wave", "arrow")
TEXTURES = ("stripes", "checks", "dots", "rings", "rays", "bricks")
DIGITS = tuple("0123456789")

#: Radius of a figure of lines (the tip of a triangle whose lines are 0.2 wide) and of a digit that leans.
_LINE, _DISPLAY = 1.2, 1.45
#: The seven bars of a digit: top, upper left, upper right, middle, lower left, lower right, bottom.
_BARS = (
    ((-0.5, -1), (0.5, -1)), ((-0.5, -1), (-0.5, 0)), ((0.5, -1), (0.5, 0)), ((-0.5, 0), (0.5, 0)),
    ((-0.5, 0), (-0.5, 1)), ((0.5, 0), (0.5, 1)), ((-0.5, 1), (0.5, 1)),
)  # fmt: skip
#: Which bars each digit has.
_LIT = ("1110111", "0010010", "1011101", "1011011", "0111010", "1101011", "1101111", "1010010", "1111111", "1111011")


def solid(draw: Draw, label: int, size: tuple[int, int]) -> np.ndarray:
    """A filled figure on a ground that runs from one colour to another."""
    whole = Plane.of(size)
    plane = whole.placed(draw, np.pi)
    radius = np.hypot(plane.x, plane.y)
    angle = np.arctan2(plane.y, plane.x)
    distance = (
        lambda: radius - 0.8,
        lambda: np.abs(radius - 0.65) - 0.2,
        lambda: plane.polygon(4),
        lambda: plane.polygon(3),
        lambda: radius - 0.62 - 0.33 * np.cos(5 * angle),
        lambda: np.minimum(*(np.maximum(np.abs(a) - 0.26, np.abs(b) - 0.9) for a, b in _both(plane))),
    )[label]()
    ramp = np.clip(0.5 + 0.4 * (whole.x * np.cos(turn := draw.uniform(0, 2 * np.pi)) + whole.y * np.sin(turn)), 0, 1)
    ground = paint(ramp, colour(draw), colour(draw))
    ink = colour(draw)
    if np.abs(ink - ground.mean((1, 2))).max() < 0.35:
        ink = 1 - np.round(ground.mean((1, 2)))
    return paint(plane.inside(distance), ink, ground)


def sketch(draw: Draw, label: int, size: tuple[int, int]) -> np.ndarray:
    """A line drawing with a pencil on paper."""
    plane = Plane.of(size).placed(draw, np.pi).reaching(_LINE)
    radius, angle = np.hypot(plane.x, plane.y), np.arctan2(plane.y, plane.x)
    zigzag = [(-0.9, 0.4), (-0.45, -0.4), (0.0, 0.4), (0.45, -0.4), (0.9, 0.4)]
    arrow = [((-0.9, 0.0), (0.9, 0.0)), ((0.3, -0.5), (0.9, 0.0)), ((0.3, 0.5), (0.9, 0.0))]
    distance = (
        lambda: np.abs(plane.polygon(3)),
        lambda: np.abs(plane.polygon(4)),
        lambda: np.abs(plane.polygon(5)),
        lambda: np.abs(radius - 0.85),
        lambda: np.where(radius < 1, np.abs(np.mod(radius * 2.5 - angle / (2 * np.pi) + 0.5, 1) - 0.5) / 2.5, 1.0),
        lambda: np.minimum.reduce([plane.segment(*ends) for ends in itertools.pairwise(zigzag)]),
        lambda: np.maximum(np.abs(plane.y - 0.4 * np.sin(5 * plane.x)) / 1.8, np.abs(plane.x) - 0.95),
        lambda: np.minimum.reduce([plane.segment(*ends) for ends in arrow]),
    )[label]()
    paper, pencil = np.full(3, draw.uniform(0.8, 1)), np.full(3, draw.uniform(0.1, 0.4))
    return paint(plane.inside(distance - draw.uniform(0.05, 0.1)), pencil, paper)


def texture(draw: Draw, label: int, size: tuple[int, int]) -> np.ndarray:
    """A pattern that fills the picture."""
    plane = Plane.of(size).placed(draw, np.pi, 0.35, 0.2)
    x, y = plane.x + draw.uniform(-0.5, 0.5), plane.y + draw.uniform(-0.5, 0.5)
    row = np.floor(y)
    radius, angle = np.hypot(plane.x, plane.y), np.arctan2(plane.y, plane.x)
    wave = (
        lambda: np.sin(2 * np.pi * x),
        lambda: np.sin(np.pi * x) * np.sin(np.pi * y) * 3,
        lambda: 3 * (0.3 - np.hypot(np.mod(x, 1) - 0.5, np.mod(y, 1) - 0.5)),
        lambda: np.sin(2 * np.pi * radius),
        lambda: np.sin(8 * angle) * np.clip(2 * radius, 0, 1),
        lambda: 4 * (np.minimum(np.mod(y, 1), np.mod(x / 2 + row / 2, 1) * 2) - 0.15),
    )[label]()
    return paint(np.clip(0.5 + wave, 0, 1), colour(draw, 0.45, 1), colour(draw, 0, 0.55))


def digit(draw: Draw, label: int, size: tuple[int, int]) -> np.ndarray:
    """A digit of seven bars, light on dark like a display, leaning a little."""
    plane = Plane.of(size).placed(draw, 0.15, 0.9, 0.65).reaching(_DISPLAY)
    leaning = Plane(plane.x + draw.uniform(0, 0.25) * plane.y, plane.y, plane.pixel)
    lit = [leaning.segment(*bar) for bar, on in zip(_BARS, _LIT[label], strict=True) if on == "1"]
    coverage = leaning.inside(np.minimum.reduce(lit) - draw.uniform(0.08, 0.16))
    return paint(coverage, colour(draw, 0.6, 1), np.full(3, draw.uniform(0, 0.3)))


def _both(plane: Plane) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    return (plane.x, plane.y), (plane.y, plane.x)


#: {domain: (class names, what draws one)}.
DOMAINS: dict[str, tuple[tuple[str, ...], Callable[[Draw, int, tuple[int, int]], np.ndarray]]] = {
    "solids": (SOLIDS, solid),
    "sketches": (SKETCHES, sketch),
    "textures": (TEXTURES, texture),
    "digits": (DIGITS, digit),
}
