"""Sets that cannot be used, or that a reader must know something about, although each image is right."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtlbench.datasets import Split
from mtlbench.datasets.prepared.inspect import describe
from mtlbench.datasets.prepared.prepare import check_prepared, prepare
from mtlbench.datasets.rooms import Rooms
from mtlbench.system.errors import DataError

from ..test_mtan_npy import small, write  # noqa: TID252

Alter = Callable[[str, int, dict[str, np.ndarray]], None]


class Altered(Rooms):
    """Rooms whose images are changed as they are loaded."""

    def __init__(self, alter: Alter) -> None:
        super().__init__(height=32, width=32, train=4, test=3)
        self.alter = alter

    def splits(self, raw: Path) -> Mapping[str, Split]:
        """The splits, with every image changed."""
        return {name: Split(split.count, self._changed(name, split)) for name, split in super().splits(raw).items()}

    def _changed(self, name: str, split: Split) -> Callable[[int], Mapping[str, Any]]:
        def load(index: int) -> Mapping[str, Any]:
            arrays = dict(split.load(index))
            self.alter(name, index, arrays)
            return arrays

        return load


def make(alter: Alter, out: Path) -> dict[str, Any]:
    prepare("rooms", Altered(alter), Path("/none"), out, {}, progress=lambda done, total: None)
    return check_prepared(out).facts["remarks"]


@pytest.mark.parametrize(("array", "value"), [("segmentation", -1), ("depth", 0), ("normals", 0)])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_without_a_valid_pixel_is_refused(tmp_path: Path, array: str, value: int, split: str) -> None:
    def alter(name: str, index: int, arrays: dict[str, np.ndarray]) -> None:
        arrays[array] = np.full_like(arrays[array], value if name == split else arrays[array])

    with pytest.raises(DataError, match=f"at least one valid pixel, found none in {array} of the {split} split"):
        make(alter, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_an_image_without_a_valid_pixel_is_remarked_and_printed(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    def alter(name: str, index: int, arrays: dict[str, np.ndarray]) -> None:
        if index == 2:
            arrays["depth"] = np.zeros_like(arrays["depth"])

    text = "images without a valid pixel of depth"
    assert make(alter, tmp_path / "out") == {text: {"images": 2, "pixels": 2 * 32 * 32}}
    assert f"prepare rooms: remark: {text} (2 images, 2048 pixels)" in capfd.readouterr().err
    assert f"remark: {text} (2 images, 2048 pixels)" in describe(tmp_path / "out")


def test_a_test_picture_that_is_a_training_picture_is_refused(tmp_path: Path) -> None:
    pictures: list[np.ndarray] = []

    def alter(name: str, index: int, arrays: dict[str, np.ndarray]) -> None:
        pictures.append(arrays["image"])
        if (name, index) == ("test", 1):
            arrays["image"] = pictures[3]

    with pytest.raises(DataError, match=r"found 1 of 3 that are \(first: test image 1 is train image 3\)"):
        make(alter, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_copies_in_one_split_are_remarked(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    pictures: list[np.ndarray] = []

    def alter(name: str, index: int, arrays: dict[str, np.ndarray]) -> None:
        pictures.append(arrays["image"])
        if name == "train" and index:
            arrays["image"] = pictures[0]

    text = "train pictures that are copies of another one"
    assert make(alter, tmp_path / "out") == {text: {"images": 3, "pixels": 0}}
    assert f"remark: {text} (3 images)" in capfd.readouterr().err


def test_black_pictures_may_be_alike(tmp_path: Path) -> None:
    def alter(name: str, index: int, arrays: dict[str, np.ndarray]) -> None:
        if index == 0:
            arrays["image"] = np.zeros_like(arrays["image"])

    assert make(alter, tmp_path / "out") == {}


def test_a_blob_whose_test_equals_its_training_set_and_then_does_not(tmp_path: Path) -> None:
    raw, out = write(tmp_path / "raw"), tmp_path / "out"
    right = Path(shutil.copytree(raw / "val", tmp_path / "right"))
    shutil.rmtree(raw / "val")
    shutil.copytree(raw / "train", raw / "val")
    with pytest.raises(DataError, match="found 3 of 3 that are"):
        prepare("mtan_npy", small(), raw, out, {}, progress=lambda done, total: None)
    shutil.rmtree(raw / "val")
    shutil.copytree(right, raw / "val")
    prepare("mtan_npy", small(), raw, out, {}, progress=lambda done, total: None)


def test_a_blob_that_lacks_its_last_number_in_all_folders_is_remarked(tmp_path: Path) -> None:
    splits = small().splits(write(tmp_path))
    assert splits["train"].remarks == ("the published folders hold 795 train images, these hold 3",)
    assert splits["test"].remarks == ("the published folders hold 654 test images, these hold 2",)


@pytest.mark.parametrize("name", ["a.npy", "01.npy", "1 (copy).npy", "٣.npy"])
def test_foreign_files_in_a_blob_are_refused(tmp_path: Path, name: str) -> None:
    raw = write(tmp_path)
    shutil.copy(raw / "train/label/0.npy", raw / "train/label" / name)
    with pytest.raises(DataError, match=r"label: expected files 0.npy, 1.npy ... only, found"):
        small().splits(raw)


def test_an_absurd_number_in_a_blob_takes_no_memory(tmp_path: Path) -> None:
    raw = write(tmp_path)
    shutil.copy(raw / "train/label/0.npy", raw / "train/label/999999999.npy")
    with pytest.raises(DataError, match=r"label: 999999996 of .* 999999999.npy are missing \(first 3.npy"):
        small().splits(raw)
