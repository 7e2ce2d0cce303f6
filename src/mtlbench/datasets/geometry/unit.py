"""Stored normals made unit vectors again: what a resizing or a rounding did to them is mended and counted."""

import numpy as np

#: A vector shorter than this holds no direction; one longer than that was never a unit vector.
SHORTEST, LONGEST = 0.5, 1.1
#: Cosine above which a direction points away from the camera, and the share of directions that must not.
_AWAY, _SEEN = 0.05, 0.75


def unit_normals(normals: np.ndarray, problems: list[str], remarks: dict[str, int]) -> np.ndarray:
    """Directions (3, H, W), any axes, as unit vectors of their type; (0, 0, 0) = invalid.

    Vectors that are too long are told in ``problems``; ``remarks`` counts pixels of those that are shorter than half a
    unit vector (made invalid) and of those that are off by more than 1 % (normalised).
    """
    length = np.sqrt((normals * normals).sum(0))
    if length.max() > LONGEST:
        problems.append(f"normal: expected unit vectors or 0, found lengths up to {length.max():.3g}")
    for text, where in (
        ("normals shorter than half a unit vector, made invalid", (length > 0) & (length <= SHORTEST)),
        (
            "normals that are no unit vectors (off by more than 1 %), normalised",
            (length > SHORTEST) & (np.abs(length - 1) > 0.01),
        ),
    ):
        if where.any():
            remarks[text] = int(where.sum())
    valid = length > SHORTEST
    return np.where(valid, normals / np.where(valid, length, 1), 0)


def point_away(normals: np.ndarray) -> bool:
    """Whether many directions (3, H, W) in camera axes point away from the camera: nothing is seen from behind."""
    valid = normals.any(0)
    return bool(valid.any()) and float((normals[2][valid] <= _AWAY).mean()) < _SEEN
