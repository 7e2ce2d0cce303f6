"""Reading variables of a small MATLAB v5 file."""

import functools
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from mtlbench.datasets.raw.files import beginning
from mtlbench.system.errors import DataError
from mtlbench.system.workers import run_apart

#: Bytes; the official files have 11 kB at most. What is packed in them is at most a thousand times larger.
_LARGEST = 1 << 18


def read_matlab(path: Path, names: list[str]) -> dict[str, Any]:
    """{name: value} of these variables; DataError when the file is damaged, too large, or lacks one of them.

    In a process of its own: SciPy's reader (1.17) is made for whole files and crashes on some damaged ones.
    """
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise DataError(f"{path}: expected a MATLAB v5 file of at most {_LARGEST} bytes, found {size}")
        content = run_apart(functools.partial(_load, path, names))
    except DataError:
        raise
    except Exception as error:  # a damaged file raises almost anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(f"{path}: expected a MATLAB v5 file, found {beginning(path)} ({reason})") from None
    missing = [name for name in names if name not in content]
    if missing:
        raise DataError(f"{path}: expected {' and '.join(names)}, found no {', '.join(missing)}")
    return content


def _load(path: Path, names: list[str]) -> dict[str, Any]:
    import scipy.io

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of variables that cannot be read: they are told as missing
        return scipy.io.loadmat(path, variable_names=names)


def whole_numbers(value: Any, where: str) -> np.ndarray:
    """A vector of whole numbers as int64 (n,), in its order; DataError, beginning with ``where``, for anything else."""
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise DataError(f"{where}: expected whole numbers, found {_kind(array)}")
    if array.ndim > 2 or (array.size and array.size != max(array.shape, default=1)):
        raise DataError(f"{where}: expected a row or a column of numbers, found the shape {array.shape}")
    array = array.ravel()
    # Within what float64 and int64 hold without rounding.
    wrong = array[~((array == np.floor(array)) & (np.abs(array.astype(np.float64)) < 2**53))]
    if len(wrong):
        raise DataError(f"{where}: expected whole numbers, found {wrong[0]:g}")
    return array.astype(np.int64)


def _kind(array: np.ndarray) -> str:
    kinds = {"U": "text", "O": "a cell array or object", "b": "truth values", "c": "complex numbers"}
    return kinds.get(array.dtype.kind, "a structure" if array.dtype.names else str(array.dtype))
