"""The official NYU Depth V2 files: reading single images, and checks that a file is what it should be.

h5py and scipy are imported where a file is read: a training job names the dataset, but reads prepared arrays only.
"""

from __future__ import annotations

import csv
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mtlbench.datasets.raw.hdf5 import field, names, open_hdf5, read_row, texts
from mtlbench.datasets.raw.matlab import read_matlab, whole_numbers
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
#: More than any recording of this kind holds; the official file has 1449.
_MOST_IMAGES = 1_000_000


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
    file = open_hdf5(path)
    chunks = [field(path, file, name).chunks for name in FIELDS if name in names(path, file)]
    if any(chunk and chunk[0] > 1 for chunk in chunks):
        file.close()
        file = open_hdf5(path, _CHUNK_CACHE)
    return file


def read(path: Path, name: str, index: int) -> np.ndarray:
    """One image's field with rows first: (480, 640) or (480, 640, 3). Depths are checked to be metres."""
    array = read_row(path, open_labeled(path), name, index)
    array = np.ascontiguousarray(array.transpose(2, 1, 0) if array.ndim == 3 else array.T)
    if array.dtype.kind == "f":
        _check_depth(path, name, index, array)
    return array


def check_labeled(path: Path, fields: list[str]) -> int:
    """The number of images, after a check of the fields' presence, types and shapes."""
    file = open_labeled(path)
    missing = [name for name in fields if name not in names(path, file)]
    if missing:
        raise DataError(f"{path}: expected the fields {', '.join(fields)}, found no {', '.join(missing)}")
    counts = {}
    for name in fields:
        shape, dtype = FIELDS[name]
        found = field(path, file, name)
        if found.dtype != dtype or found.shape[1:] != shape:
            hint = ""
            if found.shape[1:] != shape and sorted(found.shape[1:]) == sorted(shape):
                hint = ". The axes are in another order: MATLAB's file must be kept as it is, not be converted"
            expected = ", ".join(str(n) for n in shape)
            raise DataError(
                f"{path}: expected {name} as {dtype} (N, {expected}), found {found.dtype} {found.shape}{hint}"
            )
        counts[name] = found.shape[0]
    if len(set(counts.values())) != 1:
        raise DataError(f"{path}: expected the same number of images in all fields, found {counts}")
    count = counts[fields[0]]
    if not 0 < count <= _MOST_IMAGES:
        raise DataError(f"{path}: expected 1 to {_MOST_IMAGES} images, found {count}")
    _check_names(path, file)
    return count


def read_splits(path: Path, images: int) -> dict[str, np.ndarray]:
    """{"train", "test"}: image numbers from 0, in the file's order.

    Raises DataError for numbers that are no whole numbers, that no image has, that are there twice or in both.
    """
    content = read_matlab(path, ["trainNdxs", "testNdxs"])
    result = {name: whole_numbers(content[f"{name}Ndxs"], f"{path}: {name}Ndxs") - 1 for name in ("train", "test")}
    for name, numbers in result.items():
        outside = numbers[(numbers < 0) | (numbers >= images)]
        if len(outside):
            raise DataError(f"{path}: expected {name} image numbers 1..{images}, found {outside[0] + 1}")
        values, times = np.unique(numbers, return_counts=True)
        if (times > 1).any():
            raise DataError(
                f"{path}: expected each image once, found image {values[times > 1][0] + 1} "
                f"{times[times > 1][0]} times in the {name} split ({int((times > 1).sum())} images are repeated)"
            )
    both = np.intersect1d(result["train"], result["test"])
    if len(both):
        raise DataError(f"{path}: image {both[0] + 1} is in the training and the test split")
    return result


def scene_numbers(path: Path, images: int) -> np.ndarray | None:
    """int32 (images,): a number for each image's scene (an apartment or shop, e.g. kitchen_0004).

    None where the file has no scenes.
    """
    file = open_labeled(path)
    if "scenes" not in names(path, file):
        return None
    return np.unique(texts(path, file, "scenes", images), return_inverse=True)[1].astype(np.int32)


def check_mapping_files(raw: Path) -> None:
    """Where the official mapping files lie beside the data, they must say what the shipped table says."""
    path = raw / MAP40
    if path.is_file():
        found = whole_numbers(read_matlab(path, ["mapClass"])["mapClass"], f"{path}: mapClass").tolist()
        if found != [int(row["class40"]) for row in class_table()]:
            raise DataError(f"{path}: its 40 classes differ from the shipped table; it is not the official file")
    path = raw / MAP13
    if path.is_file():
        of40 = {int(row["class40"]): int(row["class13"]) for row in class_table()}
        mapping = read_matlab(path, ["classMapping13"])["classMapping13"]
        if "labels13" not in (mapping.dtype.names or ()) or mapping.size != 1:
            raise DataError(f"{path}: expected a structure classMapping13 with labels13; it is not the official file")
        found = whole_numbers(mapping["labels13"].item(), f"{path}: classMapping13.labels13").tolist()
        if found != [of40[number] for number in range(1, 41)]:
            raise DataError(f"{path}: its 13 classes differ from the shipped table; it is not the official file")


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
    if "names" not in names(path, file):
        return
    expected = [row["name"] for row in class_table()]
    found = texts(path, file, "names", len(expected))
    for number, (name, right) in enumerate(zip(found, expected, strict=True), start=1):
        if name != right:
            raise DataError(
                f"{path}: expected the 894 label names of NYU Depth V2, found label {number} is {name!r}, not "
                f"{right!r}: the class mapping does not fit"
            )
