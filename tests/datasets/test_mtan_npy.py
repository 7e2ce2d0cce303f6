"""MTAN's preprocessed folders: taken when right, every defect told when not."""

from pathlib import Path

import numpy as np
import pytest

from mtlbench.datasets.mtan_npy import MtanNpy
from mtlbench.datasets.prepared.layout import check_image, maps_of
from mtlbench.datasets.prepared.prepare import check_prepared, prepare
from mtlbench.system.errors import DataError, ParamsError

SIZE = (24, 32)


def quiet(done: int, total: int) -> None:
    """No progress output."""


def arrays(number: int, dtype: type) -> dict[str, np.ndarray]:
    """One image in the stored form, NYUv2 layout, normals in the archive's axes."""
    rng = np.random.default_rng(number)
    normal = rng.normal(size=(*SIZE, 3)) * [1, 1, 1]
    normal[..., 1] = -np.abs(normal[..., 1]) - 0.1  # the archive's second channel is z: towards the camera
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    normal[:3] = 0
    depth = rng.uniform(0.7, 9.9, (*SIZE, 1))
    depth[:2] = 0
    found = {"image": rng.integers(0, 256, (*SIZE, 3)) / 255, "label": rng.integers(-1, 13, SIZE), "depth": depth,
             "normal": normal}  # fmt: skip
    return {name: array.astype(dtype) for name, array in found.items()}


def write(folder: Path, dtype: type = np.float32) -> Path:
    for split, count in (("train", 3), ("val", 2)):
        for number in range(count):
            for name, array in arrays(number + 10 * (split == "val"), dtype).items():
                (folder / split / name).mkdir(parents=True, exist_ok=True)
                np.save(folder / split / name / f"{number}.npy", array)
    return folder


def small(**options: object) -> MtanNpy:
    return MtanNpy(**{"height": SIZE[0], "width": SIZE[1], **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_nyuv2_layout(tmp_path: Path, dtype: type) -> None:
    data = small()
    splits = data.splits(write(tmp_path, dtype))
    assert {name: split.count for name, split in splits.items()} == {"train": 3, "test": 2}
    assert list(splits["train"].names) == ["train/image/0.npy", "train/image/1.npy", "train/image/2.npy"]
    assert list(splits["test"].names) == ["val/image/0.npy", "val/image/1.npy"]
    found = dict(splits["train"].load(2))
    assert found.pop("remarks") == {}
    check_image(found, maps_of(data.tasks), SIZE, "train image 2")
    stored = arrays(2, np.float64)
    np.testing.assert_array_equal(found["image"], np.moveaxis(np.rint(stored["image"] * 255), -1, 0))
    np.testing.assert_array_equal(found["segmentation"], stored["label"])
    np.testing.assert_allclose(found["depth"][0], stored["depth"][..., 0], rtol=5e-4)  # half precision
    # Archive (x, z, -y) to camera axes (x, y, z).
    x, z, minus_y = np.moveaxis(stored["normal"], -1, 0)
    np.testing.assert_allclose(found["normals"], np.stack([x, -minus_y, z]), atol=5e-4)


def test_normals_in_camera_axes(tmp_path: Path) -> None:
    write(tmp_path)
    for split in ("train", "val"):
        for path in (tmp_path / split / "normal").glob("*.npy"):
            n = np.load(path)
            np.save(path, np.stack([n[..., 0], -n[..., 2], n[..., 1]], -1))
    found = small(normals_axes="camera").splits(tmp_path)["train"].load(0)["normals"]
    x, z, minus_y = np.moveaxis(arrays(0, np.float64)["normal"], -1, 0)
    np.testing.assert_allclose(found, np.stack([x, -minus_y, z]), atol=5e-4)
    with pytest.raises(DataError, match="point away from the camera under normals_axes: archive; is it camera"):
        small().splits(tmp_path)["train"].load(0)


def test_the_cityscapes_layout(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name, array in {"image": rng.random((*SIZE, 3)), "depth": rng.uniform(0, 0.49, (*SIZE, 1)),
                            "label_7": rng.integers(-1, 7, SIZE).astype(float),
                            "label_19": rng.integers(-1, 19, SIZE).astype(float)}.items():  # fmt: skip
            (tmp_path / split / name).mkdir(parents=True)
            np.save(tmp_path / split / name / "0.npy", array)
    for classes in (7, 19):
        data = small(layout="cityscapes", classes=classes)
        found = dict(data.splits(tmp_path)["test"].load(0))
        found.pop("remarks")
        check_image(found, maps_of(data.tasks), SIZE, "test image 0")
    with pytest.raises(DataError, match="label_2: no such folder"):
        small(layout="cityscapes", classes=2).splits(tmp_path)


def test_classes_must_fit_the_layout() -> None:
    with pytest.raises(
        ParamsError, match="expected 13 classes for nyuv2 and 2, 7 or 19 for cityscapes, found 7 for nyuv2"
    ):
        small(classes=7)


def change(folder: Path, name: str, number: int, alter: object) -> None:
    path = folder / "train" / name / f"{number}.npy"
    np.save(path, alter(np.load(path)))  # type: ignore[operator]


def spoil(at: tuple, value: float) -> object:
    def alter(array: np.ndarray) -> np.ndarray:
        array[at] = value
        return array

    return alter


DEFECTS = [
    ("image", lambda a: a * 255, r"image: expected values in 0\.\.1, found 0\.\.255"),
    ("image", lambda a: np.moveaxis(a, -1, 0), r"image: expected the shape \(24, 32, 3\), found \(3, 24, 32\)"),
    ("label", spoil((4, 4), 13), r"labels: expected whole numbers -1\.\.12, found 13"),
    ("label", spoil((4, 4), 2.5), "found 2.5"),
    ("depth", spoil((4, 4), np.nan), "depth: 1 values are NaN"),
    ("depth", lambda a: a * 1000, r"depth: expected metres in 0\.\.10.5, found 0\.\."),
    ("depth", spoil((4, 4), -1), r"found -1\.\."),
    ("normal", lambda a: a * 2, "normal: expected unit vectors or 0, found lengths up to 2"),
    ("normal", spoil((4, 4), np.inf), "normal: 3 values are NaN or infinite"),
]


@pytest.mark.parametrize(("name", "alter", "message"), DEFECTS)
def test_each_defect_is_named(tmp_path: Path, name: str, alter: object, message: str) -> None:
    write(tmp_path)
    change(tmp_path, name, 1, alter)
    with pytest.raises(DataError, match=message):
        small().splits(tmp_path)["train"].load(1)


def test_every_defect_is_reported(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw")
    change(raw, "label", 0, spoil((0, 0), 50))
    change(raw, "depth", 0, spoil((0, 0), -3))
    change(raw, "image", 2, lambda a: a + 1)
    with pytest.raises(DataError) as error:
        prepare("mtan_npy", small(), raw, tmp_path / "out", {}, progress=quiet)
    for part in (
        "2 images cannot be used",
        "train image 0",
        "found 50",
        "found -3",
        "train image 2",
        "image: expected",
    ):
        assert part in str(error.value)


def test_what_was_mended_is_counted_in_the_manifest(tmp_path: Path) -> None:
    raw = write(tmp_path / "raw")
    change(raw, "normal", 0, lambda a: np.concatenate([a[:20] * 0.9, a[20:22] * 0.3, a[22:]]))
    prepare("mtan_npy", small(), raw, tmp_path / "out", {}, progress=quiet)
    remarks = check_prepared(tmp_path / "out").facts["remarks"]
    mended = [found for found in remarks.values() if found["pixels"]]
    assert sorted(mended, key=lambda found: found["pixels"]) == [
        {"images": 1, "pixels": 2 * 32},  # too short to hold a direction
        {"images": 1, "pixels": 17 * 32},  # rows 3 to 19
    ]
    normals = np.load(tmp_path / "out/train/normals.npy")[0].astype(float)
    length = np.linalg.norm(normals, axis=0)
    assert (length[20:22] == 0).all()
    np.testing.assert_allclose(length[3:20], 1, atol=1e-3)


def test_missing_files(tmp_path: Path) -> None:
    raw = write(tmp_path)
    (raw / "train/depth/1.npy").unlink()
    with pytest.raises(DataError, match=r"depth: 1 of the files 0.npy to 2.npy are missing \(first 1.npy\)"):
        small().splits(raw)
    (raw / "train/depth/2.npy").unlink()
    with pytest.raises(DataError, match=r"same number of files in all folders.*'depth': 1"):
        small().splits(raw)
    with pytest.raises(DataError, match="no such folder"):
        small().splits(tmp_path / "nowhere")


def test_an_unreadable_file(tmp_path: Path) -> None:
    raw = write(tmp_path)
    (raw / "val/label/1.npy").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"label/1.npy: no readable .npy file"):
        small().splits(raw)["test"].load(1)
