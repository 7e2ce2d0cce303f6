"""The official NYU Depth V2 files: reading single images, and checks that a file is what it should be.

h5py and scipy are imported where a file is read: a training job names the dataset, but reads prepared arrays only.
"""

from __future__ import annotations

import csv
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mtlbench.system.errors import DataError

if TYPE_CHECKING:
    import h5py

LABELED, SPLITS = "nyu_depth_v2_labeled.mat", "splits.mat"
MAP40, MAP13 = "classMapping40.mat", "class13Mapping.mat"
#: Field: (axes after the image number as h5py shows them, type). MATLAB stores columns first, so height is last.
FIELDS = {
    "images": ((3, 640, 480), "uint8"),
    "depths": ((640, 480), "float32"),
    "rawDepths": ((640, 480), "float32"),
    "labels": ((640, 480), "uint16"),
}
#: Farthest depth in metres that the sensor's 11 bits give; more means another unit.
_FARTHEST = 10.5
# Cache of each field for compressed chunks that span several images, as MATLAB may write them.
_CHUNK_CACHE = 64 << 20


@functools.cache
def class_table() -> list[dict[str, str]]:
    """The 894 rows of the class table: id, name, class40, name40, class13, name13 (numbers from 1)."""
    with open(Path(__file__).parent / "tables" / "nyuv2_classes.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def class_names(classes: int) -> list[str]:
    """The names of the 13 or 40 classes in the order of their numbers."""
    numbered = {int(row[f"class{classes}"]): row[f"name{classes}"] for row in class_table()}
    return [numbered[number] for number in range(1, classes + 1)]


def label_lookup(classes: int) -> np.ndarray:
    """int8 (895,): class index from 0 of each label id; id 0 (unlabelled) gives -1."""
    lookup = np.full(895, -1, np.int8)
    for row in class_table():
        lookup[int(row["id"])] = int(row[f"class{classes}"]) - 1
    return lookup


@functools.lru_cache(maxsize=2)
def open_labeled(path: Path) -> h5py.File:
    """The file, opened once per process."""
    import h5py

    try:
        file = h5py.File(path, "r")
        chunks = [file[name].chunks for name in FIELDS if isinstance(file.get(name), h5py.Dataset)]
        if any(chunk and chunk[0] > 1 for chunk in chunks):
            file.close()
            file = h5py.File(path, "r", rdcc_nbytes=_CHUNK_CACHE)
        return file
    except OSError as error:
        raise DataError(
            f"{path}: expected an HDF5 file (MATLAB v7.3), found {_what(path)} ({error}). If the download was cut off, "
            "remove the file and run `mtlbench download` again"
        ) from error


def read(path: Path, field: str, index: int) -> np.ndarray:
    """One image's field with rows first: (480, 640) or (480, 640, 3). Depths are checked to be metres."""
    file = open_labeled(path)
    try:
        array = file[field][index]
    except OSError as error:
        raise DataError(
            f"{path}: {field} of image {index + 1} cannot be read ({error}): the file is damaged or cut off. Remove it "
            "and run `mtlbench download` again"
        ) from error
    array = np.ascontiguousarray(array.transpose(2, 1, 0) if array.ndim == 3 else array.T)
    if array.dtype.kind == "f":
        _check_depth(path, field, index, array)
    return array


def check_labeled(path: Path, fields: list[str]) -> int:
    """The number of images, after a check of the fields' presence, types and shapes."""
    file = open_labeled(path)
    missing = [field for field in fields if field not in file]
    if missing:
        raise DataError(f"{path}: expected the fields {', '.join(fields)}, found no {', '.join(missing)}")
    counts = {}
    for field in fields:
        shape, dtype = FIELDS[field]
        found = file[field]
        if found.dtype != dtype or found.shape[1:] != shape:
            hint = ""
            if found.shape[1:] != shape and sorted(found.shape[1:]) == sorted(shape):
                hint = ". The axes are in another order: MATLAB's file must be kept as it is, not be converted"
            expected = ", ".join(str(n) for n in shape)
            raise DataError(
                f"{path}: expected {field} as {dtype} (N, {expected}), found {found.dtype} {found.shape}{hint}"
            )
        counts[field] = found.shape[0]
    if len(set(counts.values())) != 1:
        raise DataError(f"{path}: expected the same number of images in all fields, found {counts}")
    _check_names(path, file)
    return counts[fields[0]]


def read_splits(path: Path, images: int) -> dict[str, np.ndarray]:
    """{"train", "test"}: image numbers from 0, in the file's order."""
    import scipy.io
    from scipy.io.matlab import MatReadError

    try:
        content = scipy.io.loadmat(path)
    except (MatReadError, ValueError, TypeError, OSError, NotImplementedError) as error:
        raise DataError(f"{path}: expected a MATLAB v5 file, found {_what(path)} ({error})") from error
    missing = [name for name in ("trainNdxs", "testNdxs") if name not in content]
    if missing:
        raise DataError(f"{path}: expected trainNdxs and testNdxs, found no {', '.join(missing)}")
    result = {name: content[f"{name}Ndxs"].ravel().astype(np.int64) - 1 for name in ("train", "test")}
    for name, numbers in result.items():
        outside = numbers[(numbers < 0) | (numbers >= images)]
        if len(outside):
            raise DataError(f"{path}: expected {name} image numbers 1..{images}, found {outside[0] + 1}")
    both = np.intersect1d(result["train"], result["test"])
    if len(both):
        raise DataError(f"{path}: image {both[0] + 1} is in the training and the test split")
    return result


def scene_numbers(path: Path) -> np.ndarray | None:
    """A number for each image's scene (an apartment or shop, e.g. kitchen_0004), or None where the file lacks them."""
    file = open_labeled(path)
    if "scenes" not in file:
        return None
    names = [_text(file, reference) for reference in np.asarray(file["scenes"]).ravel()]
    return np.unique(names, return_inverse=True)[1].astype(np.int32)


def check_mapping_files(raw: Path) -> None:
    """Where the official mapping files lie beside the data, they must say what the shipped table says."""
    import scipy.io

    if (raw / MAP40).is_file():
        found = scipy.io.loadmat(raw / MAP40)["mapClass"].ravel().astype(int).tolist()
        if found != [int(row["class40"]) for row in class_table()]:
            raise DataError(f"{raw / MAP40}: its 40 classes differ from the shipped table; it is not the official file")
    if (raw / MAP13).is_file():
        of40 = {int(row["class40"]): int(row["class13"]) for row in class_table()}
        found = scipy.io.loadmat(raw / MAP13)["classMapping13"]["labels13"][0, 0].ravel().astype(int).tolist()
        if found != [of40[number] for number in range(1, 41)]:
            raise DataError(f"{raw / MAP13}: its 13 classes differ from the shipped table; it is not the official file")


def _check_depth(path: Path, field: str, index: int, depth: np.ndarray) -> None:
    bad = int((~np.isfinite(depth)).sum())
    if bad:
        raise DataError(
            f"{path}: {field} of image {index + 1}: expected finite metres, found {bad} NaN or infinite values"
        )
    low, high = float(depth.min()), float(depth.max())
    if low < 0 or high > _FARTHEST:
        raise DataError(
            f"{path}: {field} of image {index + 1}: expected metres in 0..{_FARTHEST}, found {low:g}..{high:g}"
        )


def _check_names(path: Path, file: h5py.File) -> None:
    """The file's own label names, where it has them, must be those that the class table maps."""
    if "names" not in file:
        return
    names = [_text(file, reference) for reference in np.asarray(file["names"]).ravel()]
    expected = [row["name"] for row in class_table()]
    wrong = [i for i, pair in enumerate(zip(names, expected, strict=False)) if pair[0] != pair[1]]
    if len(names) != len(expected) or wrong:
        at = (
            f"label {wrong[0] + 1} is '{names[wrong[0]]}', not '{expected[wrong[0]]}'"
            if wrong
            else f"{len(names)} names"
        )
        raise DataError(
            f"{path}: expected the 894 label names of NYU Depth V2, found {at}: the class mapping does not fit"
        )


def _text(file: h5py.File, reference: h5py.Reference) -> str:
    return "".join(chr(code) for code in np.asarray(file[reference]).ravel())


def _what(path: Path) -> str:
    with open(path, "rb") as file:
        start = file.read(8)
    return f"{path.stat().st_size} bytes that begin with {start!r}"
