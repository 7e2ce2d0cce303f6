"""The form of prepared arrays: the check that every image passes before it is written."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mtlbench.maps import Maps, Picture
from mtlbench.system.errors import DataError


def check_image(arrays: Mapping[str, np.ndarray], maps: Mapping[str, Maps], size: tuple[int, int], where: str) -> None:
    """Raise DataError unless the arrays of one image have the types, shapes and value ranges of their maps.

    ``maps``: what :func:`maps_of` gives.
    """
    if sorted(arrays) != sorted(maps):
        raise DataError(f"{where}: expected the arrays {sorted(maps)}, found {sorted(arrays)}")
    for name, array in arrays.items():
        dtype, shape = np.dtype(maps[name].dtype), maps[name].shape(size)
        if array.dtype != dtype or array.shape != shape:
            raise DataError(f"{where}: expected {name} as {dtype} {shape}, found {array.dtype} {array.shape}")
        problem = maps[name].problem(array)
        if problem:
            raise DataError(f"{where}: {name} {problem}")


def maps_of(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, Maps]:
    """What each array of a dataset holds: {"image": ..., task: ...} for {task: arguments of its constructor}."""
    from mtlbench.tasks import make_tasks

    return {"image": Picture(), **{name: task.maps for name, task in make_tasks(tasks).items()}}
