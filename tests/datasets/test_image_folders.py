"""Folders of one's own pictures: both layouts, every mode, and everything that can be wrong with them."""

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtlbench import pipeline
from mtlbench.datasets import Split
from mtlbench.datasets.class_folders.picture import read_fitted
from mtlbench.datasets.image_folders import ImageFolders
from mtlbench.datasets.prepared.domain_sheet import domain_sheet
from mtlbench.maps import Classes
from mtlbench.plan import prepared
from mtlbench.plan.params import load
from mtlbench.runs.manifest import Manifest
from mtlbench.system.errors import DataError, ParamsError

BIRDS = {"amsel": (200, 30, 30), "zaunkönig": (30, 200, 30)}
SIGNS = ("halt", "kurve", "vorfahrt")


def picture(path: Path, colour: tuple[int, int, int]) -> None:
    """A small picture of nearly one colour that no other path has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(list(str(path.relative_to(path.parents[3])).encode()))
    pixels = np.array(colour) + draw.integers(-25, 25, (12, 16, 3))
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """``birds`` with train (3 of each class), val (1) and test (2); ``signs`` with 10 of each class and no split."""
    root = tmp_path / "photos"
    for split, count in (("train", 3), ("val", 1), ("test", 2)):
        for name, colour in BIRDS.items():
            for number in range(count):
                picture(root / "birds" / split / name / f"{number}.png", colour)
    for label, name in enumerate(SIGNS):
        for number in range(10):
            picture(root / "signs" / name / f"{number}.jpg", (40 * label, 90, 160))
    return root


def made(**options: object) -> ImageFolders:
    return ImageFolders(**{"classes": {"birds": 2, "signs": 3}, "height": 8, "width": 8, **options})  # type: ignore[arg-type]


def labels(split: Split, domain: str) -> list[int]:
    found = [int(split.load(i)[domain]) for i in range(split.count)]
    return [label for label in found if label >= 0]


def test_a_given_split_and_one_that_is_made_here(tree: Path) -> None:
    data = made()
    splits = data.splits(tree)
    assert {name: split.count for name, split in splits.items()} == {"train": 6 + 24, "test": 4 + 6}
    assert [labels(split, "birds") for split in splits.values()] == [[0, 0, 0, 1, 1, 1], [0, 0, 1, 1]]
    assert [np.bincount(labels(split, "signs")).tolist() for split in splits.values()] == [[8, 8, 8], [2, 2, 2]]
    assert {name: task["class_names"] for name, task in data.tasks.items()} == {
        "birds": ["amsel", "zaunkönig"], "signs": list(SIGNS)
    }  # fmt: skip
    assert splits["train"].names[0] == "birds/train/amsel/0.png"
    assert "birds: measured on test; val is not read" in splits["test"].remarks
    assert "signs: split here, 0.2 of each class tested, seed 0" in splits["test"].remarks
    first = splits["train"].load(0)
    assert first["image"].shape == (3, 8, 8)
    assert first["image"][0].mean() > 150 > 80 > first["image"][1].mean()


def test_the_split_made_here_depends_on_seed_and_names_alone(tree: Path) -> None:
    def tested(**options: object) -> set[str]:
        return {name for name in made(**options).splits(tree)["test"].names if name.startswith("signs")}

    before = tested()
    assert tested() == before
    assert tested(seed=1) != before
    picture(tree / "signs" / "halt" / "new.jpg", (0, 90, 160))
    assert len(tested() ^ before) <= 2  # it may take one other's place
    assert len(tested(share=0.5)) == 5 + 5 + round(0.5 * 11)


def test_a_class_of_one_picture_is_trained_on(tree: Path) -> None:
    for number in range(1, 10):
        (tree / "signs" / "halt" / f"{number}.jpg").unlink()
    splits = made().splits(tree)
    assert labels(splits["train"], "signs").count(0) == 1
    assert "signs: no test picture of halt" in splits["test"].remarks


def remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()


def empty_class(tree: Path) -> None:
    (tree / "birds" / "train" / "elster").mkdir()
    (tree / "birds" / "train" / "elster" / "Thumbs.db").touch()


def one_of_each(tree: Path) -> None:
    for name in SIGNS:
        for number in range(1, 10):
            (tree / "signs" / name / f"{number}.jpg").unlink()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda tree: remove(tree / "signs"), {}, r"folder of the domain 'signs', found only birds; set .*`source`"),
        (empty_class, {"classes": {"birds": 3}}, r"a picture .* of every class, found none of elster"),
        (
            lambda tree: picture(tree / "birds/test/elster/0.png", (0, 0, 0)), {},
            r"test/elster: expected one of the classes to train on, found a new one",
        ),
        (lambda tree: None, {"classes": {"signs": 4}}, r"expected 4 folders.*found 3 \(halt, kurve, vorfahrt\)"),
        (lambda tree: picture(tree / "signs/Halt/0.jpg", (0, 0, 0)), {}, "'Halt' and 'halt', which differ only in"),
        (
            lambda tree: picture(tree / "birds/train" / unicodedata.normalize("NFD", "zaunkönig") / "0.png", (0, 0, 0)),
            {}, "which differ only in capitals or accents",
        ),
        (
            lambda tree: (remove(tree / "birds/test"), remove(tree / "birds/val")), {},
            "expected a folder test or val with a folder for each class beside train, found none",
        ),
        (one_of_each, {}, "a class of at least two pictures to make a split, found one of each"),
    ],
)  # fmt: skip
def test_folders_that_do_not_fit_are_told(
    tree: Path, change: Callable[[Path], object], options: dict[str, object], message: str
) -> None:
    change(tree)
    with pytest.raises(DataError, match=message):
        made(**options).splits(tree)


def test_a_class_that_is_not_tested_and_foreign_files_are_remarks(tree: Path) -> None:
    remove(tree / "birds" / "test" / "amsel")
    (tree / "birds" / "train" / "amsel" / "notes.txt").touch()
    (tree / "birds" / "train" / ".cache").mkdir()
    splits = made().splits(tree)
    assert labels(splits["test"], "birds") == [1, 1]
    assert "birds: no test picture of amsel" in splits["test"].remarks
    assert "birds: 1 file that is no picture by its name was left out" in splits["test"].remarks


def test_val_is_measured_on_where_test_has_no_labels(tree: Path) -> None:
    remove(tree / "birds" / "test")
    picture(tree / "birds" / "test" / "000001.png", (0, 0, 0))
    assert [name for name in made().splits(tree)["test"].names if name.startswith("birds")] == [
        "birds/val/amsel/0.png",
        "birds/val/zaunkönig/0.png",
    ]


@pytest.mark.parametrize("name", ["image", "group", "a/b", "..", "", "a.b", "a b", "Birds", "vögel", "1st"])
def test_a_domain_that_cannot_name_an_array_is_refused(name: str) -> None:
    with pytest.raises(ParamsError, match="expected a name of at most 64 lower-case letters"):
        made(classes={name: 2})


def test_fixed_domains_are_those_of_the_data() -> None:
    assert [task["augmented"] for task in made(fixed=["signs"]).tasks.values()] == [True, False]
    with pytest.raises(ParamsError, match="expected domains among birds, signs, found 'sign'"):
        made(fixed=["sign"])


RED = (255, 0, 0)


def _wide(path: Path) -> None:
    Image.fromarray(np.full((8, 8), 128 * 257, np.uint16)).save(path)


def _animated(path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour).convert("P") for colour in (RED, (0, 0, 255))]
    frames[0].save(path, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("name", "save", "colour"),
    [
        ("grey.png", lambda path: Image.new("L", (8, 8), 128).save(path), (128, 128, 128)),
        ("wide.png", _wide, (128, 128, 128)),
        ("cmyk.jpg", lambda path: Image.new("RGB", (8, 8), RED).convert("CMYK").save(path, quality=95), RED),
        ("moving.gif", _animated, RED),
        ("palette.png", lambda path: Image.new("RGB", (8, 8), RED).convert("P", palette=1).save(path), RED),
        ("clear.png", lambda path: Image.new("RGBA", (8, 8), (*RED, 0)).save(path), (255, 255, 255)),
        ("naïve – 図.png", lambda path: Image.new("RGB", (8, 8), RED).save(path), RED),
    ],
)
def test_pictures_of_every_mode_become_rgb(
    tree: Path, name: str, save: Callable[[Path], None], colour: tuple[int, int, int]
) -> None:
    save(tree / "birds" / "train" / "amsel" / name)
    split = made().splits(tree)["train"]
    image = split.load(list(split.names).index(f"birds/train/amsel/{name}"))["image"]
    # 6: the compression of JPEG.
    assert np.abs(image.astype(int) - np.array(colour)[:, None, None]).max() <= 6


def test_crop_cuts_the_middle_out_and_stretch_keeps_everything(tmp_path: Path) -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (read_fitted(tmp_path / "a.png", (20, 20), "crop") == 255).all()
    assert read_fitted(tmp_path / "a.png", (10, 10), "crop").mean() > 245  # its borders touch the black ones
    stretched = read_fitted(tmp_path / "a.png", (12, 12), "stretch")
    assert stretched.shape == (3, 12, 12)
    assert stretched.mean() == pytest.approx(255 / 3, abs=3)
    assert read_fitted(tmp_path / "a.png", (30, 7), "crop").shape == (3, 30, 7)


@pytest.fixture
def planned(project: Path, tree: Path) -> Path:
    """A project with these folders as a dataset."""
    block = (
        f"  photos: {{kind: image_folders, source: '{tree}', classes: {{birds: 2, signs: 3}}, height: 8, width: 8}}\n"
    )
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("datasets:\n", f"datasets:\n{block}", 1))
    return project


def test_prepared_folders_know_their_classes_and_another_picture_is_another_key(planned: Path, tree: Path) -> None:
    before = prepared.dataset(load(), "photos")
    facts = Manifest.read(pipeline.prepare(load(), "photos")).facts
    assert facts["tasks"]["birds"]["class_names"] == ["amsel", "zaunkönig"]
    assert facts["counts"] == {"train": 30, "test": 10}
    assert facts["statistics"]["test"]["signs"]["class_shares"] == pytest.approx(dict.fromkeys(SIGNS, 1 / 3))
    picture(tree / "signs" / "halt" / "0.jpg", (9, 9, 9))
    after = prepared.dataset(load(), "photos")
    assert after.key != before.key
    assert after.content["birds"] == before.content["birds"]


def test_the_contact_sheet_shows_each_domain_with_the_names_of_its_classes(planned: Path, tree: Path) -> None:
    folder = pipeline.prepare(load(), "photos").parent
    names = {"birds": Classes(tuple(BIRDS)), "signs": Classes(SIGNS)}
    with Image.open(folder / "contact_sheet.png") as file:
        sheet = np.asarray(file.convert("RGB")).astype(int)
    assert np.array_equal(sheet, np.asarray(domain_sheet(folder, names, (8, 8))))
    assert sheet.shape[0] // 4 > 110  # two splits of two domains, a line of images each
    red, green = (np.abs(sheet - colour).max(2) < 30 for colour in BIRDS.values())
    # Six training pictures and four test pictures of birds, half of each colour, enlarged to 110 x 110.
    assert red.sum() == pytest.approx(5 * 110 * 110, rel=0.1)
    assert green.sum() == pytest.approx(5 * 110 * 110, rel=0.1)
    other = {"birds": Classes(("a", "b")), "signs": Classes(SIGNS)}
    assert not np.array_equal(sheet, np.asarray(domain_sheet(folder, other, (8, 8))))


def test_unreadable_pictures_are_named_together(planned: Path, tree: Path) -> None:
    (tree / "birds" / "train" / "amsel" / "0.png").write_bytes(b"no picture")
    whole = (tree / "signs" / "halt" / "0.jpg").read_bytes()
    (tree / "signs" / "halt" / "0.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="2 images cannot be used") as told:
        pipeline.prepare(load(), "photos")
    assert "birds/train/amsel/0.png: expected a picture" in str(told.value)
    assert "signs/halt/0.jpg: expected a whole picture" in str(told.value)


def test_a_test_picture_that_is_trained_on_is_refused(planned: Path, tree: Path) -> None:
    source = (tree / "birds" / "train" / "amsel" / "0.png").read_bytes()
    (tree / "birds" / "test" / "amsel" / "0.png").write_bytes(source)
    with pytest.raises(DataError, match="test pictures that are not among the training pictures, found 1 of 10"):
        pipeline.prepare(load(), "photos")
