"""Reading one .npy file of numbers: its header is checked before memory is taken, and nothing is unpickled."""

import math
import tokenize
import warnings
from pathlib import Path
from typing import IO

import numpy as np

from mtlbench.datasets.raw.files import beginning
from mtlbench.system.errors import DataError

#: What a header may state that cannot be an array.
_BROKEN = (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, OverflowError, tokenize.TokenError)


def read_array(path: Path, most: int) -> np.ndarray:
    """The array of numbers in ``path``, of ``most`` values at most.

    Raises DataError for anything else: another format (.npz, a pickle), a header that states more values than allowed
    or than the file has bytes for, bytes after the array, Python objects.
    """
    try:
        if not path.is_file():
            raise DataError(f"{path}: expected a .npy file, found none")
        with open(path, "rb") as file:
            shape, columns_first, dtype = _header(file, path)
            count = math.prod(shape)
            if count > most:
                raise DataError(f"{path}: its header states the shape {shape}: expected at most {most} values")
            left, needed = path.stat().st_size - file.tell(), count * dtype.itemsize
            if left != needed:
                raise DataError(
                    f"{path}: damaged or cut off: expected {needed} bytes of {dtype} {shape} after the header, found "
                    f"{left}. Get the file again"
                )
            values = np.frombuffer(file.read(needed), dtype)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    return values.reshape(shape, order="F" if columns_first else "C")


def _header(file: IO[bytes], path: Path) -> tuple[tuple[int, ...], bool, np.dtype]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers written by Python 2, odd escapes in damaged ones
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"version {version} of the format is not for arrays of numbers")
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, columns_first, dtype = read(file)
    except _BROKEN as error:
        raise DataError(
            f"{path}: no readable .npy file: found {beginning(path)} ({' '.join(str(error).split())[:200]})"
        ) from None
    if dtype.hasobject:
        raise DataError(f"{path}: expected numbers, found Python objects, which are never unpickled here")
    if dtype.kind not in "fiu" or any(n < 0 for n in shape):
        raise DataError(f"{path}: expected numbers, found {dtype} {shape}")
    return shape, columns_first, dtype
