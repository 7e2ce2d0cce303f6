"""Lines can be told apart by who sees red and green alike."""

from itertools import combinations

import numpy as np
import pytest

from mtlbench.report.figures.style import BASELINE
from mtlbench.system.colours import COLOURS

# Machado, Oliveira, Fernandes, IEEE TVCG 2009, severity 1.0: linear RGB as it looks without one kind of cone.
_SIGHT = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _TO_XYZ.sum(1)


def cielab(colour: str, sight: str) -> np.ndarray:
    """L*, a*, b* (D65) of "#RRGGBB" as it looks with that sight."""
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    ratio = _TO_XYZ @ np.clip(np.array(_SIGHT[sight]) @ linear, 0, 1) / _WHITE
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", _SIGHT)
def test_colours_stay_apart(sight: str) -> None:
    places = {colour: cielab(colour, sight) for colour in (*COLOURS, BASELINE)}
    close = {pair: float(np.linalg.norm(places[pair[0]] - places[pair[1]])) for pair in combinations(places, 2)}
    assert {pair: distance for pair, distance in close.items() if distance < 20} == {}


def test_white_is_where_it_belongs() -> None:
    assert cielab("#FFFFFF", "normal") == pytest.approx([100, 0, 0], abs=1e-3)
