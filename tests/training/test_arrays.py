"""A run reads what was prepared, or nothing: attacks on the prepared arrays."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from mtlbench import pipeline
from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.runs.manifest import Manifest, Output
from mtlbench.system.errors import DataError
from mtlbench.system.files import digest, read_json
from mtlbench.training.arrays import PreparedArrays
from mtlbench.training.cell import run_cell

from .conftest import CELL, forget, rewrite


@pytest.fixture
def cell(project) -> grid.Cell:
    pipeline.prepare(load(), "rooms")
    return grid.cell(load(), CELL)


def prepared(cell: grid.Cell) -> PreparedArrays:
    return PreparedArrays(cell.dataset.folder, Manifest.read(cell.dataset.manifest))


def refused(cell: grid.Cell, message: str, name: str = "depth", split: str = "train") -> None:
    with pytest.raises(DataError, match=message):
        prepared(cell).read(split, name)


def test_what_is_read_is_what_was_prepared_and_its_digest_is_kept(cell) -> None:
    arrays = prepared(cell)
    for name in ("image", "segmentation", "depth", "normals"):
        np.testing.assert_array_equal(arrays.read("test", name), np.load(cell.dataset.folder / f"test/{name}.npy"))
    assert arrays.digests == {
        f"test/{name}.npy": digest(cell.dataset.folder / f"test/{name}.npy")
        for name in ("image", "segmentation", "depth", "normals")
    }


def test_data_that_was_changed_and_put_back_gives_no_cell(cell) -> None:
    path = cell.dataset.folder / "train/depth.npy"
    before, times = path.read_bytes(), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    run_cell(cell, load().runtime)
    assert read_json(cell.manifest)["data"]["train/depth.npy"] == digest(path)
    forget(cell)
    values = np.load(path)
    with open(path, "r+b") as file:  # in place: the same inode, size and time as the file that a run has read before
        file.seek(len(before) - values.nbytes)
        file.write((values * np.float16(100)).tobytes())
    os.utime(path, ns=times)
    with pytest.raises(DataError, match=r"train/depth\.npy: expected the array that the manifest names"):
        run_cell(cell, load().runtime)
    path.write_bytes(before)
    assert not cell.manifest.exists()
    assert run_cell(cell, load().runtime) == "complete"


def test_a_cell_names_only_what_it_read(cell) -> None:
    single = grid.cell(load(), "tiny/segnet_single/only_depth/seed0")
    run_cell(single, load().runtime)
    assert set(read_json(single.manifest)["data"]) == {
        f"{split}/{name}.npy" for split in ("train", "test") for name in ("image", "depth", "group")
    }


def test_an_array_under_the_name_of_another_is_refused_by_name(cell) -> None:
    folder = cell.dataset.folder / "train"
    shutil.copy(folder / "normals.npy", folder / "depth.npy")
    refused(cell, r"train/depth\.npy: .* it holds the content of train/normals\.npy\. .*run `mtlbench prepare rooms`")
    rewrite(cell, "train/depth.npy", np.load(folder / "normals.npy"))
    refused(cell, r"train/depth\.npy: expected float16 \(6, 1, 32, 32\) in C order, found float16 \(6, 3, 32, 32\)")


def test_a_missing_array_says_what_to_do(cell) -> None:
    (cell.dataset.folder / "train/depth.npy").unlink()
    refused(cell, r"train/depth\.npy: no such prepared array\. .*run `mtlbench prepare rooms`")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_array_is_refused(cell, content: bytes) -> None:
    path = cell.dataset.folder / "train/depth.npy"
    path.write_bytes(content)
    refused(cell, f"found other data: {len(content)} bytes")
    rewrite(cell, "train/depth.npy", np.zeros(1))
    manifest = Manifest.read(cell.dataset.manifest)
    path.write_bytes(content)
    manifest = replace(manifest, outputs={**manifest.outputs, "train/depth.npy": Output.of(path)})
    with pytest.raises(DataError, match=r"expected float16 .*, found something else"):
        PreparedArrays(cell.dataset.folder, manifest).read("train", "depth")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda depth: depth.astype(np.float32), r"float32 \(6, 1, 32, 32\)"),
        (lambda depth: depth[:5], r"float16 \(5, 1, 32, 32\)"),
        (lambda depth: depth[:, :, :16], r"float16 \(6, 1, 16, 32\)"),
        (lambda depth: np.asfortranarray(depth), "something else"),
        (lambda depth: np.zeros(depth.shape, ">f2"), r">f2 \(6, 1, 32, 32\)"),
    ],
    ids=["type", "count", "size", "order", "bytes swapped"],
)
def test_arrays_of_another_form_are_refused(cell, change, found: str) -> None:
    rewrite(cell, "train/depth.npy", change(np.load(cell.dataset.folder / "train/depth.npy")))
    refused(cell, rf"expected float16 \(6, 1, 32, 32\) in C order, found {found}")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_prepared_nan_is_an_error_of_the_data_and_no_divergence(cell, value: float) -> None:
    depth = np.load(cell.dataset.folder / "train/depth.npy")
    depth[4, 0, 3, 7] = value
    rewrite(cell, "train/depth.npy", depth)
    with pytest.raises(
        DataError, match=r"train/depth\.npy: image 4 \(from 0\) holds 1 values that are NaN or infinite"
    ):
        run_cell(cell, load().runtime, record_divergence=True)
    assert not cell.manifest.exists(), "it must not be kept as a diverged result"


def test_labels_outside_of_the_classes_are_refused(cell) -> None:
    labels = np.load(cell.dataset.folder / "test/segmentation.npy")
    labels[2, 0, 0] = 100
    rewrite(cell, "test/segmentation.npy", labels)
    refused(cell, r"test/segmentation\.npy: image 2 \(from 0\) must lie in .*\.\.100", "segmentation", "test")


def test_scenes_are_part_of_the_data(cell) -> None:
    path = cell.dataset.folder / "test/group.npy"
    arrays = prepared(cell)
    assert arrays.groups("test").tolist() == np.load(path).tolist()
    assert arrays.digests == {"test/group.npy": digest(path)}
    np.save(path, np.zeros(3, np.int32))
    with pytest.raises(DataError, match=r"test/group\.npy: expected the array that the manifest names"):
        prepared(cell).groups("test")
    rewrite(cell, "test/group.npy", np.zeros(2, np.int32))
    with pytest.raises(DataError, match=r"test/group\.npy: expected int32 \(3,\)"):
        prepared(cell).groups("test")
    manifest = Manifest.read(cell.dataset.manifest)
    manifest = replace(manifest, outputs={k: v for k, v in manifest.outputs.items() if k != "test/group.npy"})
    assert PreparedArrays(cell.dataset.folder, manifest).groups("test") is None, "the manifest knows no such file"
