"""Filling the arrays of a dataset chunk by chunk, in several processes, with a log of what is safely on disk."""

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mtlbench.datasets import Dataset, Split
from mtlbench.datasets.prepared.layout import check_image, maps_of
from mtlbench.datasets.prepared.statistics import Sums, sums_of
from mtlbench.datasets.raw.files import Progress
from mtlbench.maps import Maps
from mtlbench.system.disk import require_space
from mtlbench.system.errors import DataError
from mtlbench.system.workers import run_all

#: Images per chunk. It fixes the order in which statistics are added, so it is not a choice at run time.
CHUNK = 8
LOG = "chunks.jsonl"
#: So many unusable images are told of at once; more mean that the data is of another kind altogether.
_MOST_DEFECTS = 40


@dataclass(frozen=True)
class Done:
    """What a chunk gave: sums for the statistics, remarks {text: [images, pixels]}, and defects that stop it."""

    sums: Sums
    remarks: dict[str, list[int]] = field(default_factory=dict)
    defects: list[str] = field(default_factory=list)


#: By (split, first image).
Chunks = dict[tuple[str, int], Done]


@dataclass(frozen=True)
class _Chunk:
    """Loads, checks and writes the images start..stop-1 of one split; runs in a worker process."""

    folder: Path
    split: str
    start: int
    stop: int
    load: Any
    maps: dict[str, Maps]
    size: tuple[int, int]

    def __call__(self) -> Done:
        images: list[dict[str, np.ndarray]] = []
        remarks: dict[str, list[int]] = {}
        defects: list[str] = []
        for index in range(self.start, self.stop):
            where = f"{self.split} image {index}"
            try:
                arrays = dict(self.load(index))
                for text, pixels in arrays.pop("remarks", {}).items():
                    entry = remarks.setdefault(text, [0, 0])
                    entry[0], entry[1] = entry[0] + 1, entry[1] + pixels
                check_image(arrays, self.maps, self.size, where)
                for name, form in self.maps.items():
                    if form.per_pixel and not form.valid(arrays[name]).any():
                        entry = remarks.setdefault(f"images without a valid pixel of {name}", [0, 0])
                        entry[0], entry[1] = entry[0] + 1, entry[1] + self.size[0] * self.size[1]
                images.append(arrays)
            except DataError as error:
                defects.append(str(error) if where in str(error) else f"{where}: {error}")
        if defects:
            return Done({}, {}, defects)
        stacked = {name: np.stack([image[name] for image in images]) for name in self.maps}
        for name, array in stacked.items():
            write_rows(self.folder / self.split / f"{name}.npy", self.start, array)
        return Done(sums_of(stacked, self.maps), remarks)


def write_rows(path: Path, start: int, rows: np.ndarray) -> None:
    """Write rows of an existing .npy file by ordinary writes.

    Not by a memory map: on a full disk, storing into one kills the process instead of raising OSError.
    """
    with open(path, "r+b") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        file.seek(file.tell() + start * rows[0].nbytes)
        file.write(np.ascontiguousarray(rows).tobytes())
        file.flush()
        os.fsync(file.fileno())


def fill(beside: Path, dataset: Dataset, splits: Mapping[str, Split], jobs: int, progress: Progress) -> Chunks:
    """Load all images that the log does not list yet into ``beside``; returns what every chunk gave.

    All images are looked at before the unusable ones are told of in one DataError, unless there are very many.
    """
    done = _read_log(beside / LOG)
    maps = maps_of(dataset.tasks)
    if not done:
        _allocate(beside, maps, dataset.size, splits)
    total = sum(split.count for split in splits.values())
    wanted = [
        _Chunk(beside, name, start, min(start + CHUNK, split.count), split.load, maps, dataset.size)
        for name, split in splits.items()
        for start in range(0, split.count, CHUNK)
    ]
    count = sum(chunk.stop - chunk.start for chunk in wanted if (chunk.split, chunk.start) in done)
    progress(count, total)
    defects: list[str] = []
    with (
        open(beside / LOG, "a", encoding="utf-8") as log,
        contextlib.closing(run_all([c for c in wanted if (c.split, c.start) not in done], jobs)) as results,
    ):
        for chunk, result in results:
            count += chunk.stop - chunk.start
            progress(count, total)
            defects += result.defects
            if len(defects) >= _MOST_DEFECTS:
                break
            if not result.defects:
                log.write(json.dumps([chunk.split, chunk.start, result.sums, result.remarks]) + "\n")
                log.flush()
                os.fsync(log.fileno())
                done[chunk.split, chunk.start] = result
    if defects:
        raise DataError(_all_defects(defects, count, total))
    return done


def _all_defects(defects: list[str], seen: int, total: int) -> str:
    if len(defects) == 1:
        return defects[0]
    rest = f" (stopped after {seen} of {total} images)" if seen < total else ""
    return "\n  ".join([f"{len(defects)} images cannot be used{rest}:", *sorted(defects)])


def _read_log(path: Path) -> Chunks:
    done = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            # The last line may have been cut off by a kill; its chunk is loaded again.
            with contextlib.suppress(json.JSONDecodeError):
                split, start, sums, remarks = json.loads(line)
                done[split, start] = Done(sums, remarks)
    return done


def _allocate(beside: Path, maps: Mapping[str, Maps], size: tuple[int, int], splits: Mapping[str, Split]) -> None:
    """Empty arrays of the final size, after a check that the disk has room for them."""
    if beside.exists():
        shutil.rmtree(beside)
    needed = sum(
        split.count * int(np.prod(form.shape(size))) * np.dtype(form.dtype).itemsize
        for split in splits.values()
        for form in maps.values()
    )
    beside.mkdir(parents=True)
    require_space(beside, needed)
    for split_name, split in splits.items():
        (beside / split_name).mkdir()
        for name, form in maps.items():
            shape = (split.count, *form.shape(size))
            with open(beside / split_name / f"{name}.npy", "wb") as file:
                header = {"descr": np.dtype(form.dtype).str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                file.truncate(file.tell() + int(np.prod(shape)) * np.dtype(form.dtype).itemsize)
