"""Reading an array of many images some at a time, so that memory does not grow with their number."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.lib import format as npy


def read_rows(path: Path, size: int, seen: Callable[[bytes], object] | None = None) -> Iterator[np.ndarray]:
    """The rows of a .npy file (N, ...) in C order, ``size`` at a time (the last part may be shorter).

    By ordinary reads: pages of a memory map count as memory of the process while it runs through them. ``seen`` gets
    every byte of the file in order, the header's and those after the array too. Raises ValueError for anything else and
    for a file that ends early.
    """
    with open(path, "rb") as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if fortran or dtype.hasobject or not shape:
            raise ValueError(f"expected rows of numbers in C order, found {dtype} {shape}")
        header = file.tell()
        file.seek(0)
        content = file.read(header)
        row = int(np.prod(shape[1:], dtype=np.int64))
        for start in range(0, shape[0], size):
            if seen:
                seen(content)
            count = min(size, shape[0] - start)
            content = file.read(count * row * dtype.itemsize)
            if len(content) != count * row * dtype.itemsize:
                raise ValueError(f"expected {shape[0]} rows, the file ends in row {start + 1} or after it")
            yield np.frombuffer(bytearray(content), dtype).reshape(count, *shape[1:])
        while seen and content:
            seen(content)
            content = file.read(1 << 20)
