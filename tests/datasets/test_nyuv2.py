"""NYU Depth V2: files in the official layout, good and bad, and the real images where they are at hand."""

import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from PIL import Image

from mtlbench.datasets import _nyuv2_file as nyu
from mtlbench.datasets.nyuv2 import NYUv2, read_archive
from mtlbench.datasets.prepared.layout import check_image, maps_of
from mtlbench.datasets.prepared.prepare import check_prepared, prepare
from mtlbench.plan.params import load
from mtlbench.system.errors import DataError

from .nyuv2_files import rooms_as_nyuv2, write


def small(**options: object) -> NYUv2:
    return NYUv2(**{"height": 96, "width": 128, "border": "keep", "checksums": "none", **options})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fields() -> dict[str, np.ndarray]:
    return rooms_as_nyuv2(4)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, fields: dict[str, np.ndarray]) -> Path:
    folder, names = tmp_path_factory.mktemp("template"), [row["name"] for row in nyu.class_table()]
    write(folder, fields, [1, 3, 4], [2], ["den_0002", "hall_0001", "den_0002", "bath_0001"], names.__getitem__)
    return folder


@pytest.fixture
def raw(tmp_path: Path, template: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "raw"))


def change(raw: Path, **arrays: np.ndarray | None) -> None:
    """Replace (or with None remove) datasets of the HDF5 file, as stored."""
    nyu.open_labeled.cache_clear()  # an open file cannot be written
    with h5py.File(raw / nyu.LABELED, "r+") as file:
        for name, array in arrays.items():
            del file[name]
            if array is not None:
                file[name] = array


def test_the_table_maps_894_labels_to_40_and_13_classes() -> None:
    names13 = nyu.class_names(13)
    assert names13 == ["bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa", "table",
                       "tv", "wall", "window"]  # fmt: skip
    assert len(nyu.class_names(40)) == 40
    lookup13, lookup40 = nyu.label_lookup(13), nyu.label_lookup(40)
    assert lookup13[0] == lookup40[0] == -1
    assert lookup13[1:].min() == 0
    assert lookup13.max() == 12
    # The published list of the 13 classes of the 40 (protocols.md), an independent source.
    # fmt: off
    published = [
        12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5,
        7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7, 6, 7, 7, 7, 7, 7, 7, 6, 7,
    ]
    # fmt: on
    assert [published[c] - 1 for c in lookup40[1:]] == lookup13[1:].tolist()


def test_images_and_maps_come_out_in_the_prepared_layout(raw: Path, fields: dict[str, np.ndarray]) -> None:
    data = small()
    splits = data.splits(raw)
    assert {name: split.count for name, split in splits.items()} == {"train": 3, "test": 1}
    arrays = dict(splits["train"].load(1))  # image 3 of the file
    check_image(arrays, maps_of(data.tasks), (96, 128), "train image 1")
    rows, columns = ((np.arange(96) + 0.5) * 5).astype(int), ((np.arange(128) + 0.5) * 5).astype(int)
    depth = fields["depths"][2][rows[:, None], columns]
    np.testing.assert_array_equal(arrays["depth"][0], depth.astype(np.float16))
    labels = nyu.label_lookup(13)[fields["labels"][2]][rows[:, None], columns]
    np.testing.assert_array_equal(arrays["segmentation"], labels)
    # Five by five pixels are averaged with weights that fall towards the neighbours: close to the plain mean.
    mean = fields["images"][2].reshape(96, 5, 128, 5, 3).mean((1, 3)).transpose(2, 0, 1)
    assert np.abs(arrays["image"].astype(float) - mean).mean() < 4


def test_40_classes(raw: Path, fields: dict[str, np.ndarray]) -> None:
    data = small(classes=40, height=480, width=640)
    labels = data.splits(raw)["test"].load(0)["segmentation"]
    np.testing.assert_array_equal(labels, nyu.label_lookup(40)[fields["labels"][1]])
    assert data.tasks["segmentation"]["class_names"][39] == "otherprop"


def test_normals_outside_the_sensors_view_are_invalid(raw: Path) -> None:
    normals = small().splits(raw)["train"].load(0)["normals"]
    valid = (normals != 0).any(0)
    rows, columns = ((np.arange(96) + 0.5) * 5).astype(int), ((np.arange(128) + 0.5) * 5).astype(int)
    inside = ((rows >= 44) & (rows <= 470))[:, None] & ((columns >= 40) & (columns <= 600))
    assert not valid[~inside].any()
    assert valid[inside].mean() > 0.7


def test_border_choices(raw: Path, fields: dict[str, np.ndarray]) -> None:
    kept, invalid = (small(border=b).splits(raw)["train"].load(0) for b in ("keep", "invalid"))
    assert (kept["depth"] > 0).all()
    assert (invalid["depth"][0, :8] == 0).all()
    assert (invalid["segmentation"][:8] == -1).all()
    np.testing.assert_array_equal(invalid["depth"][:, 20:80, 20:100], kept["depth"][:, 20:80, 20:100])
    cropped = small(border="crop", height=427, width=561).splits(raw)["train"].load(0)
    box = (slice(44, 471), slice(40, 601))
    np.testing.assert_array_equal(cropped["image"], fields["images"][0][box].transpose(2, 0, 1))
    np.testing.assert_array_equal(cropped["segmentation"], nyu.label_lookup(13)[fields["labels"][0][box]])
    np.testing.assert_array_equal(cropped["depth"][0], fields["depths"][0][box].astype(np.float16))
    # Normals lie where the maps lie: those of the whole image at its own size, cut to the box.
    whole = small(height=480, width=640).splits(raw)["train"].load(0)["normals"]
    np.testing.assert_array_equal(cropped["normals"], whole[:, *box])
    assert not whole[:, :44].any()


def test_the_experiment_beside_published_rows_is_cropped(repository: Path) -> None:
    """The blob behind the published tables was cropped (docs/datasets.md, "Border")."""
    params = load(repository / "params.yaml")
    assert params.datasets[params.experiments["nyuv2"].dataset]["border"] == "crop"
    assert NYUv2().border == "crop"


def test_raw_depth_holes_are_invalid(raw: Path) -> None:
    filled, holes = (small(depth=d).splits(raw)["train"].load(0)["depth"] for d in ("filled", "raw"))
    assert (filled > 0).all()
    assert 0.1 < (holes == 0).mean() < 0.3
    np.testing.assert_array_equal(holes[holes > 0], filled[holes > 0])


def test_images_are_named_by_their_official_number(raw: Path, fields: dict[str, np.ndarray]) -> None:
    splits = small(height=480, width=640).splits(raw)
    assert {name: list(split.names) for name, split in splits.items()} == {"train": ["1", "3", "4"], "test": ["2"]}
    for position, name in enumerate(splits["train"].names):
        picture = splits["train"].load(position)["image"]
        np.testing.assert_array_equal(picture, fields["images"][int(name) - 1].transpose(2, 0, 1))


def test_scenes_become_groups(raw: Path) -> None:
    splits = small().splits(raw)
    assert splits["train"].groups is not None
    first, second, third = splits["train"].groups.tolist()  # den_0002, den_0002, bath_0001
    assert first == second != third


@pytest.mark.slow
def test_prepared_in_two_processes(raw: Path, tmp_path: Path) -> None:
    data = small(note="rebuilt data")
    prepare("nyuv2", data, raw, tmp_path / "out", {"a": 1}, jobs=2, progress=lambda done, total: None)
    record = check_prepared(tmp_path / "out").facts
    assert record["counts"] == {"train": 3, "test": 1}
    assert record["note"] == "rebuilt data"
    assert set(record["sources"]) == {nyu.LABELED, nyu.SPLITS}
    shares = record["statistics"]["train"]["segmentation"]
    assert abs(sum(shares["class_shares"].values()) - 1) < 1e-9


def archive(raw: Path, fields: dict[str, np.ndarray], sign: float = 1.0) -> None:
    """An archive with one oblique normal in every pixel, in its own axes: red x, green z, blue -y."""
    n = np.array([0.6, 0.0, -0.8]) * sign
    pixel = np.round(np.array([n[0], n[2], -n[1]]) * 127.5 + 127).astype(np.uint8)
    for folder in ("normals", "masks"):
        (raw / folder).mkdir()
    for number in range(len(fields["images"])):
        Image.fromarray(np.broadcast_to(pixel, (480, 640, 3)).copy()).save(raw / f"normals/{number:04d}.png")
        mask = np.zeros((480, 640), np.uint8)
        mask[44:471, 40:601] = 255
        Image.fromarray(mask).save(raw / f"masks/{number:04d}.png")


def test_archive_normals(raw: Path, fields: dict[str, np.ndarray]) -> None:
    archive(raw, fields)
    data = small(normals="archive")
    normals = data.splits(raw)["train"].load(0)["normals"].astype(np.float32)
    valid = (normals != 0).any(0)
    assert valid[30, 60]
    assert not valid[0, 0]
    # 8 bits resolve 1/127.5.
    np.testing.assert_allclose(normals[:, 30, 60], [0.6, 0.0, -0.8], atol=0.008)
    np.testing.assert_allclose(np.linalg.norm(read_archive(raw, 0), axis=0)[100, 100], 1, atol=1e-6)
    assert data.sources(raw)["normals"]["files"] == 4


def test_archive_mistakes_are_named(raw: Path, fields: dict[str, np.ndarray]) -> None:
    with pytest.raises(DataError, match=r"normals: expected 4 files 0000.png to 0003.png, 4 are missing"):
        small(normals="archive").splits(raw)
    archive(raw, fields, sign=-1.0)
    with pytest.raises(DataError, match="point away"):
        small(normals="archive").splits(raw)


def test_missing_files_say_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 of them missing(.|\n)*horatio.cs.nyu.edu(.|\n)*splits.mat") as error:
        NYUv2().splits(tmp_path)
    assert "classMapping40" not in str(error.value)  # those are not needed
    with pytest.raises(DataError, match="source"):
        small().splits(tmp_path)


def test_official_files_are_checked(raw: Path) -> None:
    with pytest.raises(DataError, match=r"expected 2972037809 bytes, found \d+ \(the download was cut off\?\)"):
        NYUv2().splits(raw)


def test_a_truncated_file(raw: Path) -> None:
    path = raw / nyu.LABELED
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"expected an HDF5 file.*mtlbench download"):
        small().splits(raw)


def test_a_web_page_instead_of_the_file(raw: Path) -> None:
    (raw / nyu.LABELED).write_text("<html>moved</html>")
    with pytest.raises(DataError, match=r"found 18 bytes that begin with b'<html>"):
        small().splits(raw)


def test_a_damaged_image_is_named_when_it_is_read(raw: Path) -> None:
    with h5py.File(raw / nyu.LABELED, "r") as file:
        chunk = file["labels"].id.get_chunk_info(2)
    content = bytearray((raw / nyu.LABELED).read_bytes())
    start = chunk.byte_offset if content[512:516] == b"\x89HDF" and chunk.byte_offset > 512 else chunk.byte_offset + 512
    content[start : start + chunk.size] = bytes(chunk.size)
    (raw / nyu.LABELED).write_bytes(content)
    with pytest.raises(DataError, match="labels of image 3 cannot be read"):
        small().splits(raw)["train"].load(1)


@pytest.mark.parametrize("field", ["images", "depths", "labels"])
def test_missing_fields(raw: Path, field: str) -> None:
    change(raw, **{field: None})
    with pytest.raises(DataError, match=f"found no {field}"):
        small().splits(raw)


def test_raw_depths_are_needed_only_when_asked_for(raw: Path) -> None:
    change(raw, rawDepths=None)
    small().splits(raw)
    with pytest.raises(DataError, match="found no rawDepths"):
        small(depth="raw").splits(raw)


def test_wrong_types_and_shapes(raw: Path, fields: dict[str, np.ndarray]) -> None:
    change(raw, labels=fields["labels"].transpose(0, 2, 1).astype(np.float64))
    with pytest.raises(DataError, match=r"expected labels as uint16 \(N, 640, 480\), found float64"):
        small().splits(raw)
    change(raw, labels=fields["labels"])
    with pytest.raises(DataError, match=r"found uint16 \(4, 480, 640\). The axes are in another order"):
        small().splits(raw)
    change(raw, labels=fields["labels"].transpose(0, 2, 1)[:3])
    with pytest.raises(DataError, match=r"same number of images in all fields.*'labels': 3"):
        small().splits(raw)


FLIPS = {"mirrored": (slice(None), slice(None, None, -1)), "upside down": (slice(None, None, -1), slice(None))}


@pytest.mark.parametrize("how", FLIPS)
def test_pictures_turned_against_their_maps(raw: Path, fields: dict[str, np.ndarray], how: str) -> None:
    turned = fields["images"][:, *FLIPS[how]]
    change(raw, images=turned.transpose(0, 3, 2, 1))
    with pytest.raises(DataError, match=f"images and labels do not fit: labels match the pictures when {how}"):
        small().splits(raw)


@pytest.mark.parametrize("how", FLIPS)
def test_everything_turned(raw: Path, fields: dict[str, np.ndarray], how: str) -> None:
    turned = {name: array[:, *FLIPS[how]] for name, array in fields.items()}
    change(raw, **{n: a.transpose((0, 3, 2, 1) if a.ndim == 4 else (0, 2, 1)) for n, a in turned.items()})
    with pytest.raises(DataError, match=f"all is {how}"):
        small().splits(raw)


def test_nan_and_millimetres_in_depth(raw: Path, fields: dict[str, np.ndarray]) -> None:
    depths = fields["depths"].transpose(0, 2, 1).copy()
    depths[2, 5, :7] = np.nan
    change(raw, depths=depths)
    with pytest.raises(DataError, match="depths of image 3: expected finite metres, found 7 NaN"):
        small().splits(raw)
    change(raw, depths=fields["depths"].transpose(0, 2, 1) * 1000)
    with pytest.raises(DataError, match=r"depths of image 1: expected metres in 0\.\.10.5, found"):
        small().splits(raw)


def test_labels_outside_the_mapping(raw: Path, fields: dict[str, np.ndarray]) -> None:
    labels = fields["labels"].transpose(0, 2, 1).copy()
    labels[0, 320, 240] = 895
    change(raw, labels=labels)
    with pytest.raises(DataError, match=r"labels of image 1: expected ids 0\.\.894, found 895"):
        small().splits(raw)["train"].load(0)


def test_other_label_names(raw: Path, fields: dict[str, np.ndarray]) -> None:
    write(raw, fields, [1], [2], names=lambda number: "book" if number < 2 else f"thing {number}")
    with pytest.raises(DataError, match="label 2 is 'book', not 'bottle'"):
        small().splits(raw)


@pytest.mark.parametrize(("train", "test", "message"), [
    ([1, 2, 5], [3], r"expected train image numbers 1\.\.4, found 5"),
    ([0, 1], [3], r"expected train image numbers 1\.\.4, found 0"),
    ([1, 2], [2, 3], "image 2 is in the training and the test split"),
])  # fmt: skip
def test_wrong_splits(raw: Path, train: list[int], test: list[int], message: str) -> None:
    scipy.io.savemat(raw / nyu.SPLITS, {"trainNdxs": np.array(train)[:, None], "testNdxs": np.array(test)[:, None]})
    with pytest.raises(DataError, match=message):
        small().splits(raw)


def test_no_training_images_and_no_split_file(raw: Path, tmp_path: Path) -> None:
    scipy.io.savemat(raw / nyu.SPLITS, {"trainNdxs": np.zeros((0, 1)), "testNdxs": np.array([[1]])})
    with pytest.raises(DataError, match="at least one train image, found 0"):
        prepare("nyuv2", small(), raw, tmp_path / "out", {}, progress=lambda done, total: None)
    assert not (tmp_path / "out").exists()
    scipy.io.savemat(raw / nyu.SPLITS, {"other": 1})
    with pytest.raises(DataError, match="found no trainNdxs, testNdxs"):
        small().splits(raw)
    (raw / nyu.SPLITS).write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="expected a MATLAB v5 file"):
        small().splits(raw)


def test_mapping_files_must_agree_with_the_table(raw: Path) -> None:
    right = np.array([int(row["class40"]) for row in nyu.class_table()], np.uint8)
    scipy.io.savemat(raw / nyu.MAP40, {"mapClass": right[None]})
    small().splits(raw)
    right[10] += 1
    scipy.io.savemat(raw / nyu.MAP40, {"mapClass": right[None]})
    with pytest.raises(DataError, match="its 40 classes differ"):
        small().splits(raw)


@pytest.fixture(scope="module")
def rebuilt(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight real images in the official layout."""
    folder = tmp_path_factory.mktemp("rebuilt")
    tool = shared / "tools" / "build_nyuv2_mat.py"
    subprocess.run([sys.executable, str(tool), str(folder), "--train", "5", "--test", "3"], check=True)
    return folder


def test_real_images(rebuilt: Path) -> None:
    data = small(height=288, width=384)
    splits = data.splits(rebuilt)
    assert {name: split.count for name, split in splits.items()} == {"train": 5, "test": 3}
    arrays = splits["train"].load(0)
    check_image(arrays, maps_of(data.tasks), (288, 384), "train image 0")
    assert 0.5 < arrays["depth"].min() < arrays["depth"].max() < 10
    valid = (arrays["normals"] != 0).any(0)
    assert valid.mean() > 0.4
    assert (arrays["normals"][2][valid] < 0).mean() > 0.95


def test_real_images_mirrored_are_found(rebuilt: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in (nyu.LABELED, nyu.SPLITS):
        (copy / name).write_bytes((rebuilt / name).read_bytes())
    with h5py.File(copy / nyu.LABELED, "r+") as file:
        for name in ("images", "depths", "labels"):
            file[name][:] = np.flip(file[name][:], -2)
    with pytest.raises(DataError, match="all is mirrored"):
        small().splits(copy)


def test_real_class_mapping_files(shared: Path, raw: Path) -> None:
    for name in (nyu.MAP40, nyu.MAP13):
        (raw / name).write_bytes((shared / "data" / "nyuv2_rebuilt" / name).read_bytes())
    small().splits(raw)
