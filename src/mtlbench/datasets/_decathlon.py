"""The statistics file of the Visual Decathlon (Rebuffi, Bilen, Vedaldi, NeurIPS 2017), read without running it.

``decathlon_mean_std.pickle`` is a pickle of Python 2. A pickle can call anything when it is loaded, and this one comes
from a server; here it can name three parts of NumPy and nothing else.
"""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from mtlbench.system.errors import DataError

#: What the file may name: what a NumPy array is pickled with, by its old and its new place.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
}
_KEY = re.compile(r"(.+)(mean|std)")
#: The real file has 2.4 kB.
_LARGEST = 1 << 20


class _Arrays(pickle.Unpickler):
    """Loads arrays of numbers in plain containers; everything else is refused before it is imported."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only arrays of numbers are allowed")
        return super().find_class(module, name)


def read_statistics(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{domain: (mean, standard deviation)} of the colours of its training images, float64 (3,) each, in 0..1.

    Raises DataError when the file is missing, is no such file, or names anything but arrays of numbers; nothing in it
    is executed.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _LARGEST:
            raise DataError(f"{path}: expected the statistics of the Visual Decathlon (2.4 kB), found a large file")
        with path.open("rb") as file:
            content = _Arrays(file, encoding="latin1").load()
    except OSError as error:
        raise DataError(
            f"{path}: expected decathlon_mean_std.pickle of the Visual Decathlon, {error.strerror}"
        ) from None
    except DataError:
        raise
    except Exception as error:  # a broken pickle raises almost anything
        raise DataError(f"{path}: not the statistics of the Visual Decathlon: {error}") from None
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path}: expected arrays <domain>mean and <domain>std, found {type(content).__name__}")
    found: dict[str, dict[str, np.ndarray]] = {}
    for key, value in content.items():
        match = _KEY.fullmatch(key) if isinstance(key, str) else None
        try:
            array = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            array = np.empty(0)
        if match is None or array.shape != (3,) or not ((array >= 0) & (array <= 1)).all():
            raise DataError(f"{path}: {key!r}: expected <domain>mean or <domain>std with three numbers from 0 to 1")
        found.setdefault(match[1], {})[match[2]] = array
    alone = sorted(domain for domain, pair in found.items() if len(pair) < 2)
    if alone:
        raise DataError(f"{path}: expected a mean and a std of every domain, found one of them for {', '.join(alone)}")
    return {domain: (found[domain]["mean"], found[domain]["std"]) for domain in sorted(found)}
