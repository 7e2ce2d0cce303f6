"""Preparing a dataset once: arrays per split, contact sheet, manifest; parallel, resumable, atomic.

The arrays grow in a folder beside the final one (``.<name>.<key>.unfinished``) whose log lists the chunks that are
safely on disk, so a run that was killed continues. The finished folder is renamed into place and the manifest
is written last: without it, nothing counts as prepared.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from mtlbench.datasets import Dataset, Split
from mtlbench.datasets.prepared.fill import CHUNK, LOG, Chunks, fill
from mtlbench.datasets.prepared.images import IMAGES, write_images
from mtlbench.datasets.prepared.layout import maps_of
from mtlbench.datasets.prepared.sets import Remarks, check_sets, remark_line
from mtlbench.datasets.prepared.statistics import describe, total_remarks
from mtlbench.datasets.raw.files import Progress
from mtlbench.datasets.raw.progress import reporter
from mtlbench.plan.keys import Spec, key, manifest_name
from mtlbench.runs import code
from mtlbench.runs import manifest as manifests
from mtlbench.runs.manifest import Manifest
from mtlbench.system.disk import tell_full_disk
from mtlbench.system.errors import DataError
from mtlbench.system.files import fsync_folder

#: Facts that are computed from the arrays, given the manifest that is about to be written.
More = Callable[[Manifest], Mapping[str, Any]]


def prepare(
    name: str,
    dataset: Dataset,
    raw: Path,
    out: Path,
    spec: Spec,
    jobs: int = 1,
    progress: Progress | None = None,
    more: More | None = None,
) -> Path:
    """Write the prepared arrays of ``dataset`` into ``out`` and return the manifest's path.

    Returns at once when the manifest of ``spec`` is there. Waits while another process prepares into the same
    folder. ``more`` gives facts for the manifest that are computed from the finished arrays.
    ``jobs`` processes load images; neither their number nor an interruption changes a byte. Raises
    DataError when raw files are missing or wrong, when an image breaks the layout, when a split cannot be used as a
    whole (see ``sets.py``), or when the disk is full; an earlier complete result stays until the new one is whole.
    Remarks are printed and enter the manifest.
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
        with tell_full_disk(out):
            splits = dataset.splits(Path(raw))
            _check_splits(name, splits)
            with contextlib.nullcontext(progress) if progress else reporter(f"prepare {name}") as report:
                chunks = fill(beside, dataset, splits, jobs, report)
            statistics = _finish(beside, dataset, splits, chunks)
            remarks = total_remarks([chunk.remarks for _, chunk in sorted(chunks.items())])
            remarks |= _check_sets(name, beside, splits, statistics)
            sources = dataset.sources(Path(raw))
            _install(beside, out)
            manifest = _seal(out, dataset, spec, splits, statistics, sources, remarks, more)
    for text, found in remarks.items():
        print(f"prepare {name}: {remark_line(text, found)}", file=sys.stderr, flush=True)
    return manifest


def check_prepared(out: Path) -> Manifest:
    """The manifest, after every file in ``out`` was digested again; DataError names what differs."""
    path = manifests.find(out)
    if path is None:
        raise DataError(f"{out}: no manifest, so nothing complete is prepared here; run `mtlbench prepare` again")
    found = Manifest.read(path)
    if wrong := [f"{path.relative_to(out)}: {text}" for path, text in found.problems().items()]:
        raise DataError(f"{out}: {'; '.join(wrong)}. Remove the folder and run `mtlbench prepare` again")
    return found


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
    if not beside.exists() and (out / f".{beside.name}").is_file() and manifests.find(out) is None:
        os.replace(out, beside)
        (beside / f".{beside.name}").unlink()


def _check_splits(name: str, splits: Mapping[str, Split]) -> None:
    for split in ("train", "test"):
        count = splits[split].count if split in splits else 0
        if count < 1:
            raise DataError(f"{name}: expected at least one {split} image, found {count}; check the raw files' splits")


def _check_sets(name: str, beside: Path, splits: Mapping[str, Split], statistics: Any) -> Remarks:
    try:
        return check_sets(name, beside, splits, statistics)
    except DataError:
        shutil.rmtree(beside)  # when the raw files are mended, all is read again
        raise


def _finish(beside: Path, dataset: Dataset, splits: Mapping[str, Split], chunks: Chunks) -> dict[str, dict[str, Any]]:
    """Scene numbers, names and contact sheet into the unfinished folder; statistics by split."""
    from mtlbench.datasets.prepared.contact_sheet import write_contact_sheet

    for name, split in splits.items():
        if split.groups is not None:
            np.save(beside / name / "group.npy", np.asarray(split.groups, np.int32))
    write_images(beside, splits)
    write_contact_sheet(beside, dataset)
    maps = maps_of(dataset.tasks)
    return {
        name: describe([chunks[name, start].sums for start in range(0, split.count, CHUNK)], maps)
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


def _seal(
    out: Path,
    dataset: Dataset,
    spec: Spec,
    splits: Mapping[str, Split],
    statistics: Any,
    sources: Any,
    remarks: Any,
    more: More | None,
) -> Path:
    marker = next(iter(out.glob("..*.unfinished")), None)
    files = sorted([*out.glob("*/*.npy"), out / "contact_sheet.png", out / IMAGES])
    outputs = {str(path.relative_to(out)): path for path in files}
    arrays = {
        name: {"shape": list(array.shape), "dtype": str(array.dtype)}
        for name, path in outputs.items()
        if path.suffix == ".npy"
        for array in (np.load(path, mmap_mode="r"),)
    }
    counts = {name: split.count for name, split in splits.items()}
    facts = {
        "counts": counts, "arrays": arrays, "statistics": statistics,
        "sources": sources, "code": code.of_dataset(type(dataset).__module__),
        "tasks": dataset.tasks, "size": list(dataset.size), "note": dataset.note,
        "remarks": remarks, "published": dataset.published_for(counts),
        "published_batch": dataset.published_batch,
    }  # fmt: skip
    draft = manifests.draft(out, spec, outputs, facts)
    manifest = replace(draft, facts={**facts, **more(draft)}).save() if more else draft.save()
    (out / LOG).unlink()
    if marker:
        marker.unlink()
    return manifest
