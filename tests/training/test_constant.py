"""The constant baseline reads prepared arrays some images at a time: same numbers and checks, little memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from mtlbench.runs.manifest import Manifest, write
from mtlbench.system.errors import DataError
from mtlbench.training.arrays import PreparedArrays
from mtlbench.training.constant import constant_baseline

SIZE = (48, 64)


def prepared(folder: Path, count: int) -> Manifest:
    """``count`` training and 3 test images with depth; the pictures are named, but not there."""
    outputs, random = {}, np.random.default_rng(count)
    for split, number in (("train", count), ("test", 3)):
        (folder / split).mkdir(parents=True)
        path = folder / split / "depth.npy"
        np.save(path, random.uniform(1, 3, (number, 1, *SIZE)).astype(np.float16))
        outputs[f"{split}/depth.npy"] = path
    facts = {"tasks": {"depth": {}}, "counts": {"train": count, "test": 3}, "size": list(SIZE)}
    return Manifest.read(write(folder, {"a": count}, outputs, facts))


def test_it_is_the_error_of_the_median(tmp_path: Path) -> None:
    manifest = prepared(tmp_path / "data", 11)
    train, test = (np.load(tmp_path / "data" / split / "depth.npy").astype(np.float64) for split in ("train", "test"))
    expected = np.abs(test - np.median(train)).mean()
    # 1 %: the median comes from a histogram.
    assert constant_baseline(manifest)["depth"]["abs_error"] == pytest.approx(expected, rel=0.01)


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    peaks = {}
    for count in (16, 512):
        manifest = prepared(tmp_path / str(count), count)
        constant_baseline(manifest)  # imports and caches
        tracemalloc.start()
        constant_baseline(manifest)
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # 512 images are 3 MB, 16 are 0.1 MB.
    assert peaks[512] < peaks[16] + 100_000, peaks


def test_parts_are_what_read_gives(tmp_path: Path) -> None:
    arrays = PreparedArrays(tmp_path / "data", prepared(tmp_path / "data", 11))
    parts = list(arrays.parts("train", "depth", 4))
    assert [len(part) for part in parts] == [4, 4, 3]
    digests = dict(arrays.digests)
    np.testing.assert_array_equal(np.concatenate(parts), arrays.read("train", "depth"))
    assert arrays.digests == digests


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-100], "expected float16 .* found expected 11 rows, the file ends"),
        (lambda content: content + b"more", "other data"),
        (lambda content: content[:-2] + b"\x00\x3c", "other data"),
        (lambda content: content[:-2] + b"\xff\x7f", r"image 10 \(from 0\) holds 1 values that are NaN"),
        (lambda content: b"no array at all", "expected float16 .* found"),
    ],
)
def test_damage_is_told(tmp_path: Path, damage, message: str) -> None:
    manifest = prepared(tmp_path / "data", 11)
    path = tmp_path / "data" / "train" / "depth.npy"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=message):
        constant_baseline(manifest)


def test_a_missing_array_and_one_of_another_shape_are_told(tmp_path: Path) -> None:
    manifest = prepared(tmp_path / "data", 11)
    path = tmp_path / "data" / "train" / "depth.npy"
    np.save(path, np.ones((11, 3, *SIZE), np.float16))
    with pytest.raises(DataError, match=r"train/depth\.npy: expected float16 .* found float16 \(N, 3, 48, 64\)"):
        constant_baseline(manifest)
    path.unlink()
    with pytest.raises(DataError, match=r"train/depth\.npy: no such prepared array"):
        constant_baseline(manifest)
