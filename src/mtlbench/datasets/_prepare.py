"""Preparing a dataset once: arrays per split, contact sheet, manifest; parallel, resumable, atomic.

The arrays grow in a folder beside the final one (``.<name>.<key>.unfinished``) whose log lists the chunks that are
safely on disk, so a run that was killed continues. The finished folder is renamed into place and the manifest
is written last: without it, nothing counts as prepared.
"""

import contextlib
import errno
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from mtlbench.datasets._base import Dataset, Progress, Split
from mtlbench.datasets._layout import ARRAYS, array_names, check_image, shape_of
from mtlbench.datasets._progress import reporter
from mtlbench.datasets._statistics import Sums, describe, sums_of
from mtlbench.datasets._workers import run_all
from mtlbench.errors import DataError
from mtlbench.files import digest, fsync_folder
from mtlbench.keys import Spec, find_manifest, key, manifest_name, read_manifest, write_manifest

#: Images per chunk. It fixes the order in which statistics are added, so it is not a choice at run time.
CHUNK = 8
_LOG = "chunks.jsonl"


def prepare(
    name: str,
    dataset: Dataset,
    raw: Path,
    out: Path,
    spec: Spec,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Write the prepared arrays of ``dataset`` into ``out`` and return the manifest's path.

    Returns at once when the manifest of ``spec`` is there. Waits while another process prepares into the same
    folder. ``jobs`` processes load images; neither their number nor an interruption changes a byte. Raises
    DataError when raw files are missing or wrong, when an image breaks the layout, or when the disk is full;
    an earlier complete result stays until the new one is whole.
    """
    out = Path(out)
    target = out / manifest_name(key(spec))
    if target.is_file():
        return target
    out.parent.mkdir(parents=True, exist_ok=True)
    with _alone(out.with_name(f".{out.name}.lock"), name):
        if target.is_file():
            return target
        beside = out.with_name(f".{out.name}.{key(spec)}.unfinished")
        _recover(out, beside)
        with _disk_full(out):
            splits = dataset.splits(Path(raw))
            _check_splits(name, splits)
            with contextlib.nullcontext(progress) if progress else reporter(f"prepare {name}") as report:
                chunks = _fill(beside, dataset, splits, jobs, report)
            statistics = _finish(beside, dataset, splits, chunks)
            sources = dataset.sources(Path(raw))
            _install(beside, out)
            return _seal(out, dataset, spec, splits, statistics, sources)


def check_prepared(out: Path) -> dict[str, Any]:
    """The manifest's record, after every file in ``out`` was digested again; DataError names what differs."""
    manifest = find_manifest(out)
    if manifest is None:
        raise DataError(f"{out}: no manifest, so nothing complete is prepared here; run `mtlbench prepare` again")
    record = read_manifest(manifest)
    wrong = []
    for name, expected in record["outputs"].items():
        path = Path(out) / name
        if not path.is_file():
            wrong.append(f"{name} is missing")
        elif path.stat().st_size != expected["bytes"] or digest(path) != expected["sha256"]:
            wrong.append(f"{name} has other content than when it was prepared")
    if wrong:
        raise DataError(f"{out}: {'; '.join(wrong)}. Remove the folder and run `mtlbench prepare` again")
    return record


@contextlib.contextmanager
def _alone(path: Path, name: str) -> Iterator[None]:
    """Hold the dataset's lock; the lock file disappears with the last holder (data folders are tracked by DVC)."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"prepare {name}: another process is preparing it, waiting for it to end", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def _recover(out: Path, beside: Path) -> None:
    """Take back a folder that was renamed into place but never got its manifest; drop work of other specs."""
    for other in out.parent.glob(f".{out.name}.*.unfinished"):
        if other != beside:
            shutil.rmtree(other)
    if not beside.exists() and (out / f".{beside.name}").is_file() and find_manifest(out) is None:
        os.replace(out, beside)
        (beside / f".{beside.name}").unlink()


@contextlib.contextmanager
def _disk_full(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        free = shutil.disk_usage(out.parent).free
        raise DataError(
            f"{out}: the disk is full ({free / 1e9:.1f} GB free); free some space and run the same command again, "
            "it continues from the images that are already there"
        ) from error


def _check_splits(name: str, splits: Mapping[str, Split]) -> None:
    for split in ("train", "test"):
        count = splits[split].count if split in splits else 0
        if count < 1:
            raise DataError(f"{name}: expected at least one {split} image, found {count}; check the raw files' splits")


@dataclass(frozen=True)
class _Chunk:
    """Loads, checks and writes the images start..stop-1 of one split; runs in a worker process."""

    folder: Path
    split: str
    start: int
    stop: int
    load: Any
    tasks: dict[str, dict[str, Any]]
    size: tuple[int, int]

    def __call__(self) -> Sums:
        images = []
        for index in range(self.start, self.stop):
            arrays = dict(self.load(index))
            check_image(arrays, self.tasks, self.size, f"{self.split} image {index}")
            images.append(arrays)
        stacked = {name: np.stack([image[name] for image in images]) for name in array_names(self.tasks)}
        for name, array in stacked.items():
            write_rows(self.folder / self.split / f"{name}.npy", self.start, array)
        return sums_of(stacked, self.tasks)


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


def _fill(
    beside: Path, dataset: Dataset, splits: Mapping[str, Split], jobs: int, progress: Progress
) -> dict[tuple[str, int], Sums]:
    """Load all images that the log does not list yet; the sums of every chunk."""
    done = _read_log(beside / _LOG)
    if not done:
        _allocate(beside, dataset, splits)
    tasks, total = dataset.tasks, sum(split.count for split in splits.values())
    wanted = [
        _Chunk(beside, name, start, min(start + CHUNK, split.count), split.load, tasks, dataset.size)
        for name, split in splits.items()
        for start in range(0, split.count, CHUNK)
    ]
    count = sum(chunk.stop - chunk.start for chunk in wanted if (chunk.split, chunk.start) in done)
    progress(count, total)
    with open(beside / _LOG, "a", encoding="utf-8") as log:
        for chunk, sums in run_all([c for c in wanted if (c.split, c.start) not in done], jobs):
            log.write(json.dumps([chunk.split, chunk.start, sums]) + "\n")
            log.flush()
            os.fsync(log.fileno())
            done[chunk.split, chunk.start] = sums
            count += chunk.stop - chunk.start
            progress(count, total)
    return done


def _read_log(path: Path) -> dict[tuple[str, int], Sums]:
    done = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            # The last line may have been cut off by a kill; its chunk is loaded again.
            with contextlib.suppress(json.JSONDecodeError):
                split, start, sums = json.loads(line)
                done[split, start] = sums
    return done


def _allocate(beside: Path, dataset: Dataset, splits: Mapping[str, Split]) -> None:
    """Empty arrays of the final size, after a check that the disk has room for them."""
    if beside.exists():
        shutil.rmtree(beside)
    names = array_names(dataset.tasks)
    needed = sum(
        split.count * int(np.prod(shape_of(name, dataset.size))) * ARRAYS[name][0].itemsize
        for split in splits.values()
        for name in names
    )
    beside.mkdir(parents=True)
    if shutil.disk_usage(beside).free < needed:
        raise OSError(errno.ENOSPC, f"{needed / 1e9:.1f} GB are needed")
    for split_name, split in splits.items():
        (beside / split_name).mkdir()
        for name in names:
            shape = (split.count, *shape_of(name, dataset.size))
            with open(beside / split_name / f"{name}.npy", "wb") as file:
                header = {"descr": ARRAYS[name][0].str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                file.truncate(file.tell() + int(np.prod(shape)) * ARRAYS[name][0].itemsize)


def _finish(
    beside: Path, dataset: Dataset, splits: Mapping[str, Split], chunks: Mapping[tuple[str, int], Sums]
) -> dict[str, dict[str, Any]]:
    """Scene numbers and contact sheet into the unfinished folder; statistics by split."""
    from mtlbench.datasets._contact_sheet import write_contact_sheet

    for name, split in splits.items():
        if split.groups is not None:
            np.save(beside / name / "group.npy", np.asarray(split.groups, np.int32))
    write_contact_sheet(beside, dataset)
    return {
        name: describe([chunks[name, start] for start in range(0, split.count, CHUNK)], dataset.tasks)
        for name, split in splits.items()
    }


def _install(beside: Path, out: Path) -> None:
    """Put the unfinished folder in the place of ``out``. The old manifest goes first: it is no longer true."""
    for manifest in out.glob("manifest.*.json"):
        manifest.unlink()
    (beside / f".{beside.name}").touch()
    if out.exists():
        fsync_folder(out)
        old = out.with_name(f".{out.name}.old.unfinished")
        if old.exists():
            shutil.rmtree(old)
        os.replace(out, old)
        os.replace(beside, out)
        shutil.rmtree(old)
    else:
        os.replace(beside, out)
    fsync_folder(out.parent)


def _seal(out: Path, dataset: Dataset, spec: Spec, splits: Mapping[str, Split], statistics: Any, sources: Any) -> Path:
    marker = next(iter(out.glob("..*.unfinished")), None)
    outputs = {str(path.relative_to(out)): path for path in sorted([*out.glob("*/*.npy"), out / "contact_sheet.png"])}
    arrays = {
        name: {"shape": list(array.shape), "dtype": str(array.dtype)}
        for name, path in outputs.items()
        if path.suffix == ".npy"
        for array in (np.load(path, mmap_mode="r"),)
    }
    manifest = write_manifest(
        out, spec, outputs,
        counts={name: split.count for name, split in splits.items()}, arrays=arrays, statistics=statistics,
        sources=sources, tasks=dataset.tasks, size=list(dataset.size), note=dataset.note,
    )  # fmt: skip
    (out / _LOG).unlink()
    if marker:
        marker.unlink()
    return manifest
