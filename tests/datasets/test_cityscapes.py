"""CityScapes: packages as zip files and folders, good and bad, and the real recordings where they are at hand."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtlbench.datasets._cityscapes_labels import class_names, label_lookup, label_table
from mtlbench.datasets.cityscapes import CityScapes
from mtlbench.datasets.prepared.layout import check_image, maps_of
from mtlbench.datasets.prepared.prepare import check_prepared, prepare
from mtlbench.system.errors import DataError

FILES = {"leftImg8bit": "leftImg8bit.png", "gtFine": "gtFine_labelIds.png", "disparity": "disparity.png",
         "camera": "camera.json"}  # fmt: skip
RECORDINGS = [("train", "aachen_000001_000019"), ("train", "aachen_000001_000049"), ("train", "bochum_000000_000313"),
              ("val", "lindau_000003_000019")]  # fmt: skip
BASELINES = [0.209313, 0.209313, 0.222126, 0.209313]
SIZE = (32, 64)


def quiet(done: int, total: int) -> None:
    """No progress output."""


def small(**options: object) -> CityScapes:
    return CityScapes(**{"height": 16, "width": 32, "checksums": "none", **options})  # type: ignore[arg-type]


def png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, format="PNG")
    return file.getvalue()


def path_of(package: str, split: str, recording: str) -> str:
    return f"{package}/{split}/{recording.split('_')[0]}/{recording}_{FILES[package]}"


@pytest.fixture(scope="module")
def content() -> dict[str, dict[str, bytes]]:
    """{package: {member: bytes}} of four small recordings."""
    rng = np.random.default_rng(0)
    found: dict[str, dict[str, bytes]] = {package: {} for package in FILES}
    for (split, recording), baseline in zip(RECORDINGS, BASELINES, strict=True):
        disparity = rng.integers(2, 30000, SIZE).astype(np.uint16)
        disparity[:8], disparity[8:12] = 0, 1  # unknown; infinitely far
        parts = {
            "leftImg8bit": png(rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8)),
            "gtFine": png(rng.integers(0, 34, SIZE).astype(np.uint8)),
            "disparity": png(disparity),
            "camera": json.dumps({"intrinsic": {"fx": 2262.52}, "extrinsic": {"baseline": baseline}}).encode(),
        }
        for package, data in parts.items():
            found[package][path_of(package, split, recording)] = data
    # The real archives hold more than is read.
    found["gtFine"]["gtFine/train/aachen/aachen_000001_000019_gtFine_polygons.json"] = b"{}"
    found["gtFine"]["README"] = b"text"
    found["leftImg8bit"]["leftImg8bit/test/berlin/berlin_000000_000019_leftImg8bit.png"] = b"not read"
    return found


def pack(folder: Path, content: dict[str, dict[str, bytes]]) -> Path:
    folder.mkdir(exist_ok=True)
    for package, members in content.items():
        with zipfile.ZipFile(folder / f"{package}_trainvaltest.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo(f"{package}/"), b"")
            for name, data in members.items():
                archive.writestr(name, data)
    return folder


@pytest.fixture
def raw(tmp_path: Path, content: dict[str, dict[str, bytes]]) -> Path:
    return pack(tmp_path / "raw", content)


def pixels(content: dict[str, dict[str, bytes]], package: str, number: int) -> np.ndarray:
    name = path_of(package, *RECORDINGS[number])
    return np.asarray(Image.open(io.BytesIO(content[package][name])))


def test_classes_follow_the_public_label_table() -> None:
    assert class_names(2) == ["background", "foreground"]
    assert class_names(7) == ["flat", "construction", "object", "nature", "sky", "human", "vehicle"]
    assert class_names(19) == [
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
        "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
    ]  # fmt: skip
    ids = {row["name"]: int(row["id"]) for row in label_table()}
    lookup2, lookup7, lookup19 = (label_lookup(n) for n in (2, 7, 19))
    expected = [("road", 0, 0, 0), ("parking", 0, 0, -1), ("sky", 1, 4, 10), ("car", 1, 6, 13), ("caravan", 1, 6, -1),
                ("ground", -1, -1, -1), ("terrain", 0, 3, 9)]  # fmt: skip
    for name, two, seven, nineteen in expected:
        assert (lookup2[ids[name]], lookup7[ids[name]], lookup19[ids[name]]) == (two, seven, nineteen)


@pytest.mark.parametrize("form", ["zip", "folder", "mixed"])
def test_zip_files_and_folders_give_the_same(raw: Path, content: dict[str, dict[str, bytes]], form: str) -> None:
    expected = dict(small().splits(raw)["test"].load(0))
    for package in {"zip": [], "folder": list(FILES), "mixed": ["gtFine"]}[form]:
        archive = raw / f"{package}_trainvaltest.zip"
        with zipfile.ZipFile(archive) as file:
            file.extractall(raw)
        archive.unlink()
    data = small()
    splits = data.splits(raw)
    assert {name: split.count for name, split in splits.items()} == {"train": 3, "test": 1}
    found = dict(splits["test"].load(0))
    check_image(found, maps_of(data.tasks), (16, 32), "test image 0")
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert len(data.sources(raw)) == 3  # the cameras are not read


def test_labels_are_nearest_and_disparities_do_not_bleed(raw: Path, content: dict[str, dict[str, bytes]]) -> None:
    arrays = small(classes=19).splits(raw)["train"].load(0)
    rows, columns = np.arange(16) * 2 + 1, np.arange(32) * 2 + 1
    ids = pixels(content, "gtFine", 0)[rows[:, None], columns]
    np.testing.assert_array_equal(arrays["segmentation"], label_lookup(19)[ids])
    stored = pixels(content, "disparity", 0)[rows[:, None], columns]
    np.testing.assert_array_equal(arrays["inverse_depth"][0], (stored / 65535).astype(np.float16))
    assert (arrays["inverse_depth"][0, :4] == 0).all()


@pytest.mark.parametrize(("form", "number"), [("pixels", 0), ("auto_lambda", 0), ("metric", 0), ("metric", 2)])
def test_forms_of_inverse_depth(raw: Path, content: dict[str, dict[str, bytes]], form: str, number: int) -> None:
    data = small(inverse_depth=form)
    stored = pixels(content, "disparity", number)[np.arange(16)[:, None] * 2 + 1, np.arange(32) * 2 + 1].astype(float)
    disparity = (stored - 1) / 256
    scale = {"pixels": 1, "auto_lambda": 1 / 4, "metric": 1 / (2262.52 * BASELINES[number])}[form]
    expected = np.where(stored > 1, disparity * scale, 0)
    found = data.splits(raw)["train"].load(number)["inverse_depth"][0]
    np.testing.assert_array_equal(found, expected.astype(np.float16))
    assert (found[:6] == 0).all()  # unknown and infinitely far
    assert data.tasks["inverse_depth"]["unit"] == ("1/m" if form == "metric" else "px")
    assert len(data.sources(raw)) == (4 if form == "metric" else 3)


def test_images_are_named_by_their_pictures(raw: Path, content: dict[str, dict[str, bytes]]) -> None:
    splits = small(height=SIZE[0], width=SIZE[1]).splits(raw)
    for name, recordings in (("train", "train"), ("test", "val")):
        expected = [path_of("leftImg8bit", recordings, r) for split, r in RECORDINGS if split == recordings]
        assert list(splits[name].names) == sorted(expected)
        for position, member in enumerate(splits[name].names):
            with Image.open(io.BytesIO(content["leftImg8bit"][member])) as picture:
                stored = np.moveaxis(np.asarray(picture), -1, 0)
            np.testing.assert_array_equal(splits[name].load(position)["image"], stored)


def test_frames_of_one_drive_are_one_group(raw: Path) -> None:
    groups = small().splits(raw)["train"].groups
    assert groups is not None
    assert groups[0] == groups[1] != groups[2]


def test_missing_packages_give_the_steps(tmp_path: Path, raw: Path) -> None:
    with pytest.raises(
        DataError, match=r"leftImg8bit_trainvaltest.zip \(or the folder leftImg8bit.*Register at https"
    ) as e:
        CityScapes().splits(tmp_path)
    assert "camera" not in str(e.value)
    (raw / "camera_trainvaltest.zip").unlink()
    small().splits(raw)
    with pytest.raises(DataError, match=r"camera_trainvaltest.zip"):
        small(inverse_depth="metric").splits(raw)


def test_official_packages_are_checked(raw: Path) -> None:
    with pytest.raises(DataError, match="wrong checksum: expected md5 0a6e97e94b616a514066c9e2adb0c97f"):
        CityScapes().splits(raw)
    for package in FILES:
        with zipfile.ZipFile(raw / f"{package}_trainvaltest.zip") as file:
            file.extractall(raw)
        (raw / f"{package}_trainvaltest.zip").unlink()
    with pytest.raises(DataError, match=r"expected {'train': 2975, 'val': 500} images, found {'train': 3, 'val': 1}"):
        CityScapes().splits(raw)


def test_a_member_that_leaves_the_archive(raw: Path) -> None:
    for name in ("../../evil.png", "/etc/evil.png", "leftImg8bit/train/x/..\\evil.png"):
        shutil.copy(raw / "gtFine_trainvaltest.zip", raw / "keep")
        with zipfile.ZipFile(raw / "gtFine_trainvaltest.zip", "a") as archive:
            archive.writestr(name, b"evil")
        with pytest.raises(DataError, match="points outside the archive"):
            small().splits(raw)
        shutil.move(raw / "keep", raw / "gtFine_trainvaltest.zip")
    assert not list(raw.parent.rglob("evil*"))


def test_missing_and_doubled_members(raw: Path, content: dict[str, dict[str, bytes]]) -> None:
    less = dict(list(content["disparity"].items())[1:])
    pack(raw, {"disparity": less})
    with pytest.raises(
        DataError, match=r"disparity.png for each of the 4 images, 1 are missing \(first train/aachen_000001"
    ):
        small().splits(raw)
    pack(raw, {"disparity": content["disparity"]})
    name = next(iter(content["gtFine"]))
    with zipfile.ZipFile(raw / "gtFine_trainvaltest.zip", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(name, b"again")
    with pytest.raises(DataError, match="is there twice"):
        small().splits(raw)


def test_truncated_and_damaged_archives(raw: Path, content: dict[str, dict[str, bytes]]) -> None:
    path = raw / "leftImg8bit_trainvaltest.zip"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="expected a zip file"):
        small().splits(raw)
    path.write_bytes(b"<html>please log in</html>")
    with pytest.raises(DataError, match="expected a zip file, found 26 bytes"):
        small().splits(raw)
    name = path_of("leftImg8bit", *RECORDINGS[0])
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        start = archive.getinfo(name).header_offset
    damaged = bytearray(whole)
    damaged[start + 200 : start + 240] = bytes(40)
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=rf"{name}' cannot be read"):
        small().splits(raw)["train"].load(0)


def test_an_archive_of_something_else(raw: Path) -> None:
    pack(raw, {"gtFine": {"holiday.txt": b"sun"}})
    with pytest.raises(DataError, match=r"expected files gtFine/train/<city>/\*_gtFine_labelIds.png, found none"):
        small().splits(raw)


@pytest.mark.parametrize(("package", "picture", "message"), [
    ("gtFine", np.full(SIZE, 34, np.uint8), r"expected label ids 0\.\.33, found 34"),
    ("gtFine", np.zeros((*SIZE, 3), np.uint8), r"expected a picture of 8 bits with 2 axes, found uint8 \(32, 64, 3\)"),
    ("disparity", np.zeros(SIZE, np.uint8), "expected a picture of 16 bits with 2 axes, found uint8"),
    ("disparity", np.zeros((16, 32), np.uint16), "differ in size"),
    ("leftImg8bit", np.zeros(SIZE, np.uint8), "expected a picture of 8 bits with 3 axes"),
])  # fmt: skip
def test_wrong_pictures_are_named(
    raw: Path, content: dict[str, dict[str, bytes]], package: str, picture: np.ndarray, message: str
) -> None:
    name = path_of(package, *RECORDINGS[1])
    pack(raw, {package: {**content[package], name: png(picture)}})
    with pytest.raises(DataError, match=message):
        small().splits(raw)["train"].load(1)


@pytest.mark.parametrize(("camera", "message"), [
    (b"{}", "expected intrinsic.fx and extrinsic.baseline"),
    (b"not json", "expected intrinsic.fx"),
    (b'{"intrinsic": {"fx": 2262.52}, "extrinsic": {"baseline": 209.3}}', "expected a baseline in metres"),
])  # fmt: skip
def test_wrong_cameras_are_named(raw: Path, content: dict[str, dict[str, bytes]], camera: bytes, message: str) -> None:
    pack(raw, {"camera": {**content["camera"], path_of("camera", *RECORDINGS[0]): camera}})
    with pytest.raises(DataError, match=message):
        small(inverse_depth="metric").splits(raw)["train"].load(0)


def test_all_unusable_images_are_told_at_once(raw: Path, content: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    wrong = {path_of("gtFine", *RECORDINGS[n]): png(np.full(SIZE, 40 + n, np.uint8)) for n in (0, 2, 3)}
    pack(raw, {"gtFine": {**content["gtFine"], **wrong}})
    with pytest.raises(DataError) as error:
        prepare("cityscapes", small(), raw, tmp_path / "out", {}, progress=quiet)
    text = str(error.value)
    assert "3 images cannot be used" in text
    for part in ("train image 0", "found 40", "train image 2", "found 42", "test image 0", "found 43"):
        assert part in text
    assert not (tmp_path / "out").exists()
    pack(raw, {"gtFine": content["gtFine"]})
    prepare("cityscapes", small(), raw, tmp_path / "out", {}, progress=quiet)
    check_prepared(tmp_path / "out")


@pytest.fixture(scope="module")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four real recordings, the last of which is moved to the validation images."""
    folder = tmp_path_factory.mktemp("cityscapes")
    for archive in (shared / "data" / "cityscapes_mini").glob("*.zip"):
        with zipfile.ZipFile(archive) as source, zipfile.ZipFile(folder / archive.name, "w") as target:
            for member in source.infolist():
                if not member.is_dir():
                    moved = member.filename.replace("/train/hamburg/", "/val/hamburg/")
                    target.writestr(moved, source.read(member))
    return folder


@pytest.mark.parametrize("classes", [2, 7, 19])
def test_real_recordings(real: Path, tmp_path: Path, classes: int) -> None:
    data = CityScapes(height=128, width=256, classes=classes, inverse_depth="metric", checksums="none", note="a sample")  # type: ignore[arg-type]
    prepare("cityscapes", data, real, tmp_path / "out", {"classes": classes}, progress=quiet)
    record = check_prepared(tmp_path / "out").facts
    assert record["counts"] == {"train": 3, "test": 1}
    statistics = record["statistics"]["train"]
    shares = statistics["segmentation"]["class_shares"]
    road = {2: "background", 7: "flat", 19: "road"}[classes]
    assert 0.25 < shares[road] < 0.99
    assert 0.05 < statistics["segmentation"]["invalid_share"] < 0.3
    depth = statistics["inverse_depth"]
    # From 1 km down to the bonnet, 4 m before the camera.
    assert 0 < depth["min"] < 0.01
    assert 0.15 < depth["max"] < 0.35
    assert 0.1 < depth["invalid_share"] < 0.3
