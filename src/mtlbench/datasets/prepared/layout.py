"""The form of prepared arrays: their types, and the check that every image passes before it is written."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mtlbench.system.errors import DataError

#: Type and channels (0 = no channel axis) of each array.
ARRAYS: dict[str, tuple[np.dtype, int]] = {
    "image": (np.dtype(np.uint8), 3),
    "segmentation": (np.dtype(np.int8), 0),
    "depth": (np.dtype(np.float16), 1),
    "inverse_depth": (np.dtype(np.float16), 1),
    "normals": (np.dtype(np.float16), 3),
}
#: |length - 1| of a unit vector rounded to float16: half a unit in the last place per component is 2.4e-4, so
#: the length is off by at most 4.3e-4; the rest is room for normals that were computed in float32.
_UNIT_TOLERANCE = 1e-3


def shape_of(name: str, size: tuple[int, int]) -> tuple[int, ...]:
    """The shape of one image's array."""
    channels = ARRAYS[name][1]
    return (channels, *size) if channels else size


def array_names(tasks: Mapping[str, Any]) -> list[str]:
    """The arrays of a dataset: the image and one for each task."""
    return ["image", *tasks]


def check_image(arrays: Mapping[str, np.ndarray], tasks: Mapping[str, Any], size: tuple[int, int], where: str) -> None:
    """Raise DataError unless the arrays of one image have the types, shapes and value ranges of the layout."""
    expected = array_names(tasks)
    if sorted(arrays) != sorted(expected):
        raise DataError(f"{where}: expected the arrays {sorted(expected)}, found {sorted(arrays)}")
    for name, array in arrays.items():
        dtype, shape = ARRAYS[name][0], shape_of(name, size)
        if array.dtype != dtype or array.shape != shape:
            raise DataError(f"{where}: expected {name} as {dtype} {shape}, found {array.dtype} {array.shape}")
        problem = _problem(name, array, tasks.get(name, {}))
        if problem:
            raise DataError(f"{where}: {name} {problem}")


def valid_normals(normals: np.ndarray) -> np.ndarray:
    """Which pixels of (3, H, W) hold a normal."""
    return (normals != 0).any(0)


def _problem(name: str, array: np.ndarray, arguments: Mapping[str, Any]) -> str:
    if name == "segmentation":
        low, high = int(array.min()), int(array.max())
        classes = arguments["classes"]
        return "" if low >= -1 and high < classes else f"must lie in -1..{classes - 1}, found {low}..{high}"
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return f"holds {int((~np.isfinite(array)).sum())} values that are NaN or infinite; invalid pixels must be 0"
    if name in ("depth", "inverse_depth"):
        return "" if array.min() >= 0 else f"must not be negative, found {float(array.min()):.4g}"
    if name == "normals":
        length = np.sqrt((array.astype(np.float32) ** 2).sum(0))[valid_normals(array)]
        off = float(np.abs(length - 1).max()) if length.size else 0.0
        return "" if off <= _UNIT_TOLERANCE else f"must be unit vectors or 0, found a length that is off by {off:.2g}"
    return ""
