"""Reading fields of a MATLAB v7.3 (HDF5) file; nothing that lies in another file is followed.

h5py is imported where a file is read: a training job names the dataset, but reads prepared arrays only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mtlbench.datasets.raw.files import beginning
from mtlbench.system.errors import DataError

if TYPE_CHECKING:
    import h5py

#: What h5py raises for damaged files and odd objects.
_BROKEN = (OSError, KeyError, ValueError, TypeError, RuntimeError, IndexError, OverflowError, MemoryError)
#: Bytes of a compressed block, which is unpacked as a whole.
_LARGEST_CHUNK = 1 << 28
#: Characters of one text; the longest official label name has 35.
_LONGEST = 1000


def open_hdf5(path: Path, cache: int | None = None) -> h5py.File:
    """The file, opened for reading; ``cache``: bytes kept of each field's compressed blocks."""
    import h5py

    try:
        return h5py.File(path, "r", rdcc_nbytes=cache)
    except _BROKEN as error:
        raise DataError(
            f"{path}: expected an HDF5 file (MATLAB v7.3), found {beginning(path)} ({_reason(error)}). If the download "
            "was cut off, remove the file and run `mtlbench download` again"
        ) from None


def names(path: Path, file: h5py.File) -> set[str]:
    """The names in the file, those of broken links too."""
    try:
        return set(file)
    except _BROKEN as error:
        raise DataError(f"{path}: its list of fields cannot be read ({_reason(error)}): the file is damaged") from None


def field(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    """The array called ``name``, whose values lie in this file.

    Raises DataError for what is no array (a group) and for what lies elsewhere: a soft or external link, external
    storage, a virtual array. Its content would not be covered by the file's digest.
    """
    import h5py

    try:
        link = file.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise DataError(f"{path}: expected {name} to be an array, found {_link_kind(link)}; not the official form")
        found = file[name]
        if not isinstance(found, h5py.Dataset):
            raise DataError(f"{path}: expected {name} to be an array, found a group; not the official form")
        if found.is_virtual or found.external:
            raise DataError(f"{path}: expected the values of {name} in this file, they lie in another one")
        if found.shape is None:
            raise DataError(f"{path}: expected {name} to be an array, found an empty value")
        block = int(np.prod(found.chunks, dtype=object)) * found.dtype.itemsize if found.chunks else 0
        if block > _LARGEST_CHUNK:
            raise DataError(f"{path}: {name} has blocks of {block} bytes, expected at most {_LARGEST_CHUNK}")
        return found
    except _BROKEN as error:
        raise DataError(f"{path}: {name} cannot be read ({_reason(error)}): the file is damaged") from None


def texts(path: Path, file: h5py.File, name: str, count: int) -> list[str]:
    """The ``count`` texts of a cell array (references to arrays of character codes)."""
    import h5py

    cells = field(path, file, name)
    if h5py.check_ref_dtype(cells.dtype) is not h5py.Reference or cells.size != count:
        raise DataError(f"{path}: expected {name} as a cell array of {count} texts, found {cells.dtype} {cells.shape}")
    try:
        return [_text(file[reference]) for reference in np.asarray(cells).ravel()]
    except _BROKEN as error:
        raise DataError(f"{path}: {name}: expected {count} texts, found other objects ({_reason(error)})") from None


def read_row(path: Path, file: h5py.File, name: str, index: int) -> np.ndarray:
    """Row ``index`` of a field."""
    found = field(path, file, name)
    try:
        return found[index]
    except _BROKEN as error:
        raise DataError(
            f"{path}: {name} of image {index + 1} cannot be read ({_reason(error)}): the file is damaged or cut off. "
            "Remove it and run `mtlbench download` again"
        ) from None


def _text(codes: object) -> str:
    import h5py

    if not isinstance(codes, h5py.Dataset):
        raise ValueError("a group instead of character codes")
    if not 0 <= codes.size <= _LONGEST or codes.dtype.kind not in "ui":
        raise ValueError(f"{codes.dtype} {codes.shape} instead of character codes")
    return "".join(chr(code) for code in np.asarray(codes).ravel())


def _link_kind(link: object) -> str:
    return {"SoftLink": "a soft link", "ExternalLink": "a link to another file"}.get(type(link).__name__, "nothing")


def _reason(error: BaseException) -> str:
    return " ".join(f"{error}".split())[:200] or type(error).__name__
