"""The form of prepared arrays: the check that every image passes before it is written."""

from collections.abc import Mapping

import numpy as np

from mtlbench.datasets.prepared.maps import Maps
from mtlbench.system.errors import DataError


def check_image(arrays: Mapping[str, np.ndarray], maps: Mapping[str, Maps], size: tuple[int, int], where: str) -> None:
    """Raise DataError unless the arrays of one image have the types, shapes and value ranges of their maps.

    ``maps``: what :func:`~mtlbench.datasets.prepared.maps.maps_of` gives.
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
