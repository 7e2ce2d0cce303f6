"""A folder of one's own: read exactly when it is right, and every defect named with its file when not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mtlbench.datasets.folders import Folders
from mtlbench.datasets.prepared.layout import check_image, maps_of
from mtlbench.datasets.prepared.prepare import check_prepared, prepare
from mtlbench.datasets.raw.photos import SUFFIXES
from mtlbench.plan import prepared
from mtlbench.plan.params import load
from mtlbench.system.errors import DataError, ParamsError

SIZE = (24, 32)
CLASSES = {"wall": 0, "floor": 7, "sky": 3}
NAMES = ["bath_1", "bath_2", "hall_1", "hall_2", "yard_1", "yard_2"]
OPTIONS: dict[str, Any] = {
    "height": SIZE[0], "width": SIZE[1], "classes": CLASSES, "depth": 0.001, "normals": "camera",
}  # fmt: skip


def quiet(done: int, total: int) -> None:
    """No progress output."""


def directions(rng: np.random.Generator) -> np.ndarray:
    n = rng.normal(size=(*SIZE, 3))
    n[..., 2] = -np.abs(n[..., 2]) - 0.1
    return n / np.linalg.norm(n, axis=2, keepdims=True)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Six images of three scenes with all their files, at the prepared size."""
    folder = tmp_path / "mine"
    for part in ("images", "labels", "depth", "normals"):
        (folder / part).mkdir(parents=True)
    for number, name in enumerate(NAMES):
        rng = np.random.default_rng(number)
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), np.uint8)).save(folder / f"images/{name}.png")
        values = rng.choice([0, 7, 3, 255], SIZE).astype(np.uint8)
        Image.fromarray(values).save(folder / f"labels/{name}.png")
        Image.fromarray(rng.integers(0, 9000, SIZE, np.uint16)).save(folder / f"depth/{name}.png")
        np.save(folder / f"normals/{name}.npy", directions(rng).astype(np.float32))
    return folder


def data(**options: Any) -> Folders:
    return Folders(**{**OPTIONS, **options})


def image(raw: Path, name: str, **options: Any) -> dict[str, Any]:
    """One prepared image by its name."""
    made = data(**options)
    for split in made.splits(raw).values():
        for index, file in enumerate(split.names):
            if Path(file).stem == name:
                found = dict(split.load(index))
                remarks = found.pop("remarks")
                check_image(found, maps_of(made.tasks), made.size, name)
                return found | {"remarks": remarks}
    raise AssertionError(name)


def test_an_image_is_what_its_files_hold(raw: Path) -> None:
    found = image(raw, "hall_1")
    picture = np.asarray(Image.open(raw / "images/hall_1.png"))
    values = np.asarray(Image.open(raw / "labels/hall_1.png"))
    steps = np.asarray(Image.open(raw / "depth/hall_1.png")).astype(np.float64)
    np.testing.assert_array_equal(found["image"], np.moveaxis(picture, -1, 0))
    for index, value in enumerate((0, 3, 7)):  # in the order of the values
        np.testing.assert_array_equal(found["segmentation"] == index, values == value)
    np.testing.assert_array_equal(found["segmentation"] == -1, values == 255)
    np.testing.assert_allclose(found["depth"][0], steps / 1000, rtol=5e-4)  # half precision
    stored = np.moveaxis(np.load(raw / "normals/hall_1.npy"), -1, 0)
    np.testing.assert_allclose(found["normals"], stored, atol=5e-4)
    assert found["remarks"] == {}


def test_maps_are_resized_to_the_nearest_pixel_and_pictures_filtered(raw: Path) -> None:
    found = image(raw, "yard_2", height=12, width=16)
    values = np.asarray(Image.open(raw / "labels/yard_2.png"))[1::2, 1::2]
    np.testing.assert_array_equal(found["segmentation"] == 2, values == 7)
    picture = np.asarray(Image.open(raw / "images/yard_2.png").resize((16, 12), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(found["image"], np.moveaxis(picture, -1, 0))


@pytest.mark.parametrize("wanted", [("classes",), ("depth",), ("normals",), ("classes", "normals")])
def test_any_subset_of_the_tasks(raw: Path, wanted: tuple[str, ...]) -> None:
    names = {"classes": "segmentation", "depth": "depth", "normals": "normals"}
    folders = {"classes": "labels", "depth": "depth", "normals": "normals"}
    for option in {"classes", "depth", "normals"} - set(wanted):
        for path in (raw / folders[option]).iterdir():
            path.unlink()
        (raw / folders[option]).rmdir()
    none = dict.fromkeys({"classes", "depth", "normals"} - set(wanted))
    found = image(raw, "bath_1", **none)
    assert [name for name in found if name not in ("image", "remarks")] == [names[option] for option in wanted]


def test_labels_of_a_palette_and_of_16_bits(raw: Path) -> None:
    values = np.asarray(Image.open(raw / "labels/hall_1.png"))
    before = image(raw, "hall_1")["segmentation"]
    palette = Image.fromarray(values).convert("P")
    palette.putdata(values.ravel().tolist())
    palette.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    palette.save(raw / "labels/hall_1.png")
    np.testing.assert_array_equal(image(raw, "hall_1")["segmentation"], before)
    wide = values.astype(np.uint16)
    wide[values == 7] = 1007
    Image.fromarray(wide).save(raw / "labels/hall_1.png")
    for name in set(NAMES) - {"hall_1"}:  # the others have 7 for that class
        Image.fromarray(np.zeros(SIZE, np.uint8)).save(raw / f"labels/{name}.png")
    found = image(raw, "hall_1", classes={"wall": 0, "floor": 1007, "sky": 3})["segmentation"]
    np.testing.assert_array_equal(found, before)


def test_normals_as_colours_and_in_the_axes_of_renderers(raw: Path) -> None:
    exact = np.moveaxis(np.load(raw / "normals/bath_2.npy"), -1, 0)
    colours = np.rint((np.moveaxis(exact, 0, -1) + 1) * 127.5).astype(np.uint8)
    colours[:4] = 0
    colours[4:6] = 128
    (raw / "normals/bath_2.npy").unlink()
    Image.fromarray(colours).save(raw / "normals/bath_2.png")
    found = image(raw, "bath_2")["normals"].astype(float)
    assert (found[:, :6] == 0).all()
    np.testing.assert_allclose(found[:, 6:], exact[:, 6:], atol=0.01)  # half a step of 8 bits is 0.004
    for name in NAMES:  # all to x right, y up, z back
        if name != "bath_2":
            np.save(raw / f"normals/{name}.npy", np.load(raw / f"normals/{name}.npy") * [1, -1, -1])
    found = image(raw, "hall_2", normals="opengl")["normals"]
    np.testing.assert_allclose(found, np.moveaxis(np.load(raw / "normals/hall_2.npy") * [1, -1, -1], -1, 0), atol=5e-4)


def test_depth_as_an_array_in_metres(raw: Path) -> None:
    metres = np.random.default_rng(0).uniform(0, 9, SIZE).astype(np.float32)
    for name in NAMES:
        (raw / f"depth/{name}.png").unlink()
        np.save(raw / f"depth/{name}.npy", metres)
    np.testing.assert_allclose(image(raw, "hall_1", depth=1.0)["depth"][0], metres, rtol=5e-4)


def test_lists_decide_the_split(raw: Path) -> None:
    (raw / "train.txt").write_text("# mine\nhall_2.png\n\nbath_1\n")
    (raw / "test.txt").write_text("yard_1\n")
    splits = data().splits(raw)
    assert {split: list(found.names) for split, found in splits.items()} == {
        "train": ["images/hall_2.png", "images/bath_1.png"],
        "test": ["images/yard_1.png"],
    }
    assert splits["train"].remarks == ("3 images are in neither train.txt nor test.txt",)


def test_a_split_made_here_never_cuts_a_scene(raw: Path) -> None:
    seen = set()
    for seed in range(12):
        splits = data(scene="_", test_share=0.3, seed=seed).splits(raw)
        scenes = {split: {Path(name).stem[:4] for name in found.names} for split, found in splits.items()}
        assert not scenes["train"] & scenes["test"]
        assert {split: found.count for split, found in splits.items()} == {"train": 4, "test": 2}
        groups = {split: set(found.groups.tolist()) for split, found in splits.items()}
        assert not groups["train"] & groups["test"]
        seen |= scenes["test"]
    assert seen == {"bath", "hall", "yard"}  # the seed decides
    assert data(seed=3).splits(raw)["test"].names == data(seed=3).splits(raw)["test"].names
    assert data().splits(raw)["train"].groups is None


def test_folders_are_scenes_too(raw: Path) -> None:
    for part in ("images", "labels", "depth", "normals"):
        for path in sorted((raw / part).iterdir()):
            scene, number = path.name.split("_")
            (raw / part / scene).mkdir(exist_ok=True)
            path.rename(raw / part / scene / number)
    splits = data(scene="/").splits(raw)
    assert {Path(name).parent.name for name in splits["test"].names}.isdisjoint(
        {Path(name).parent.name for name in splits["train"].names}
    )
    assert sum(found.count for found in splits.values()) == 6


def grey(path: Path, value: int, at: tuple[int, int] = (3, 4), dtype: type = np.uint8) -> None:
    pixels = np.array(Image.open(path)).astype(dtype)
    pixels[at] = value
    Image.fromarray(pixels).save(path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def smaller(path: Path) -> None:
    Image.open(path).crop((0, 0, 20, 10)).save(path)


def as_rgb(path: Path) -> None:
    Image.open(path).convert("RGB").save(path)


def array(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    return lambda path: np.save(path, change(np.load(path)))


def spoilt(values: np.ndarray) -> np.ndarray:
    values[2, 2] = np.nan
    return values


#: What is done to which file of hall_1, and what is said of it.
BROKEN: list[tuple[str, Callable[[Path], None], str]] = [
    ("labels/hall_1.png", lambda p: grey(p, 9), r"values of the classes \(0, 3, 7\) and of void \(255\), found 9 in 1"),
    ("labels/hall_1.png", cut, "expected a whole PNG picture"),
    ("labels/hall_1.png", smaller, r"20x10 pixels, but images/hall_1\.png has 32x24"),
    ("labels/hall_1.png", as_rgb, r"one channel whose grey level or palette index is the class, found RGB colours"),
    ("depth/hall_1.png", as_rgb, "one channel of 8 or 16 bits, found RGB colours"),
    ("depth/hall_1.png", smaller, r"20x10 pixels, but images/hall_1\.png has 32x24"),
    ("normals/hall_1.npy", array(lambda n: n * 2), "expected unit vectors or 0, found lengths up to 2"),
    ("normals/hall_1.npy", array(lambda n: n * [1, -1, -1]), r"away from the camera under `normals: camera`.*opengl\?"),
    ("normals/hall_1.npy", array(spoilt), "3 values are NaN or infinite; write 0"),
    (
        "normals/hall_1.npy",
        array(lambda n: n[..., :2]),
        r"expected the shape \(height, width, 3\), found \(24, 32, 2\)",
    ),
    ("normals/hall_1.npy", array(lambda n: n[4:]), r"32x20 pixels, but images/hall_1\.png has 32x24"),
    ("images/hall_1.png", cut, "expected a whole picture, it cannot be decoded"),
]


@pytest.mark.parametrize(("file", "harm", "message"), BROKEN)
def test_each_broken_file_is_named(raw: Path, file: str, harm: Callable[[Path], None], message: str) -> None:
    harm(raw / file)
    with pytest.raises(DataError, match=rf"{file}: .*{message}"):
        image(raw, "hall_1")


def test_a_wrong_step_of_depth_is_named(raw: Path) -> None:
    with pytest.raises(DataError, match=r"depth/hall_1.png: expected depths of 0 .* to 1000 m, found .*`depth: 1`"):
        image(raw, "hall_1", depth=1.0)


def test_a_class_table_that_is_no_table() -> None:
    for classes, message in (
        ({"wall": 0}, "expected 2 to 127 classes, found 1"),
        ({"wall": 0, "floor": 0}, "0 is wall and floor"),
        ({"wall": 0, "floor": 255}, "255 is void and floor"),
    ):
        with pytest.raises(ParamsError, match=message):
            data(classes=classes)
    with pytest.raises(ParamsError, match="expected a task: set 'classes', 'depth' or 'normals'"):
        data(classes=None, depth=None, normals=None)


def test_all_files_that_do_not_fit_together_are_listed_at_once(raw: Path) -> None:
    (raw / "labels/hall_1.png").unlink()
    (raw / "labels/more.png").write_bytes(b"")
    (raw / "images/hall_2.jpg").write_bytes(b"")
    (raw / "images/notes.txt").write_text("")
    (raw / "images/.DS_Store").write_text("")
    (raw / "depth/hall_2.npy").write_bytes(b"")
    for path in (raw / "normals").iterdir():
        path.unlink()
    with pytest.raises(DataError) as error:
        data().splits(raw)
    assert str(error.value).splitlines() == [
        f"{raw.resolve()}: 12 things are wrong:",
        "  images/hall_2.png: there is also images/hall_2.jpg; one name, one file",
        f"  images/notes.txt: expected only files with {', '.join(SUFFIXES)} here",
        "  depth/hall_2.png: there is also depth/hall_2.npy; one name, one file",
        "  normals/: expected files with .png, .npy, found none",
        "  labels/hall_1: missing (.png), although there is images/hall_1.png",
        "  labels/more.png: there is no image of that name",
        *(f"  normals/{name}: missing (.png or .npy), although there is images/{name}.{end}"
          for name, end in ((n, "jpg" if n == "hall_2" else "png") for n in NAMES)),
    ]  # fmt: skip
    with pytest.raises(DataError, match="images/: no such folder"):
        data().splits(raw / "nowhere")


def test_lists_that_are_wrong(raw: Path) -> None:
    (raw / "train.txt").write_text("hall_1\nhal_2\nhall_1\n")
    with pytest.raises(DataError, match=r"test.txt: missing"):
        data().splits(raw)
    (raw / "test.txt").write_text("hall_1\n")
    with pytest.raises(DataError) as error:
        data().splits(raw)
    assert str(error.value).splitlines()[1:] == [
        "  train.txt, line 2: no image 'hal_2'. Did you mean 'hall_2'?",
        "  train.txt, line 3: 'hall_1' is already in train.txt, line 1",
        "  test.txt, line 1: 'hall_1' is already in train.txt, line 1",
        "  test.txt: no image in it",
    ]


def test_one_scene_cannot_be_split(raw: Path) -> None:
    for path in sorted(raw.rglob("*_*")):
        path.rename(path.with_name(f"all_{path.stem.replace('_', '')}{path.suffix}"))
    with pytest.raises(DataError, match=r"at least two scenes for a split, found 1 \(is `scene` right\?\)"):
        data(scene="_").splits(raw)


def test_preparing_tells_every_defect_and_every_empty_file(raw: Path, tmp_path: Path) -> None:
    grey(raw / "labels/hall_1.png", 9)
    grey(raw / "labels/yard_2.png", 8)
    with pytest.raises(DataError) as error:
        prepare("mine", data(), raw, tmp_path / "out", {}, progress=quiet)
    assert "2 images cannot be used" in str(error.value)
    assert "labels/hall_1.png" in str(error.value)
    assert "labels/yard_2.png" in str(error.value)
    for name in ("hall_1", "yard_2"):
        Image.fromarray(np.full(SIZE, 255, np.uint8)).save(raw / f"labels/{name}.png")
    prepare("mine", data(), raw, tmp_path / "out", {}, progress=quiet)
    facts = check_prepared(tmp_path / "out").facts
    assert {"labels/hall_1.png has no valid pixel", "labels/yard_2.png has no valid pixel"} <= set(facts["remarks"])
    assert set(facts["sources"]) == {"images", "labels", "depth", "normals"}


def test_another_file_is_another_key(raw: Path, project: Path, edit: Callable[[str, str], None]) -> None:
    block = {**OPTIONS, "kind": "folders", "source": str(raw)}
    edit("datasets:\n", f"datasets:\n  mine: {block}\n".replace("'", '"'))
    before = prepared.dataset(load(), "mine").key
    grey(raw / "labels/hall_1.png", 3)
    changed = prepared.dataset(load(), "mine").key
    (raw / "train.txt").write_text("hall_1\n")
    assert len({before, changed, prepared.dataset(load(), "mine").key}) == 3
