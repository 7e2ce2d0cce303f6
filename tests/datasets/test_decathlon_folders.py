"""The Visual Decathlon's folders and annotations: real ones, small ones of the same form, and ones that are wrong."""

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mtlbench import pipeline
from mtlbench.datasets import decathlon
from mtlbench.datasets._decathlon_annotations import DOMAINS, read_annotations
from mtlbench.datasets._domains import standardised
from mtlbench.datasets.decathlon import Decathlon
from mtlbench.inference.challenge import export_predictions
from mtlbench.inference.load import load as load_network
from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.runs.manifest import Manifest
from mtlbench.system.errors import DataError, ParamsError
from mtlbench.training.cell import run_cell

#: {task: (classes in the order of their ids, images of train, val, test)} of a small Decathlon.
SMALL = {
    "dtd": (("wrinkled", "banded", "zigzagged"), (6, 3, 4)),
    "vgg_flowers": (("rose", "alpine sea holly"), (4, 2, 2)),
}
MEAN, DEVIATION = np.array([0.5, 0.4, 0.3]), np.array([0.25, 0.2, 0.3])


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders, annotations and statistics of the small Decathlon, in the form of the real ones."""
    for task, (classes, counts) in SMALL.items():
        images = dict(zip(("train", "val", "test"), counts, strict=True))
        monkeypatch.setitem(DOMAINS, task, replace(DOMAINS[task], classes=len(classes), images=images))
        first = 0
        for split, count in images.items():
            write(tmp_path, task, classes, split, first, count)
            first += count
    statistics = {
        f"{DOMAINS[task].folder}{key}": value.tolist()
        for task in SMALL
        for key, value in (("mean", MEAN), ("std", DEVIATION))
    }
    (tmp_path / "decathlon_mean_std.pickle").write_bytes(pickle.dumps(statistics, 2))
    return tmp_path


def write(raw: Path, task: str, classes: tuple[str, ...], split: str, first: int, count: int) -> None:
    """Images and annotations of one split. Folders are numbered backwards and the lists shuffled, so that only the
    annotations tell the order of the classes."""
    official = DOMAINS[task]
    draw = np.random.default_rng([official.number, first])
    images, annotations = [], []
    for i in range(count):
        label, identifier = i % len(classes), official.first + 200001 + first + i
        folder = "" if split == "test" else f"{9000 - label:04d}/"
        name = f"data/{official.folder}/{split}/{folder}{i + 1:06d}.jpg"
        path = raw / name.removeprefix("data/")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (72, 90, 3), dtype=np.uint8)).save(path, quality=95)
        images.append({"id": identifier, "width": 90, "height": 72, "file_name": name})
        category = {"id": identifier, "image_id": identifier, "category_id": official.first + 1 + label}
        annotations += [] if split == "test" else [category]
    categories = [
        {"id": official.first + 1 + k, "name": name, "supercategory": official.folder} for k, name in enumerate(classes)
    ]
    content = {"info": {}, "images": images[::-1], "annotations": annotations, "categories": categories[::-1]}
    path = raw / "annotations" / f"{official.folder}_{split}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(("task", "first", "last"), [("aircraft", 10206668, 10210000), ("dtd", 40203761, 40205640)])
def test_the_real_annotations(shared: Path, tmp_path: Path, task: str, first: int, last: int) -> None:
    path = shared / "data/decathlon" / f"{task}_test.json"
    found = read_annotations(path, DOMAINS[task], "test")
    assert found.ids == tuple(range(first, last + 1))
    assert list(found.paths) == sorted(found.paths)
    assert found.paths[0] == f"{task}/test/000001.jpg"
    assert list(found.classes) == sorted(found.classes) == list(dict.fromkeys(found.classes))
    content = json.loads(path.read_text())
    expected = {one["image_id"]: one["category_id"] - DOMAINS[task].first - 1 for one in content["annotations"]}
    assert dict(zip(found.ids, found.labels, strict=True)) == expected
    del content["annotations"]
    (tmp_path / "test.json").write_text(json.dumps(content))
    assert set(read_annotations(tmp_path / "test.json", DOMAINS[task], "test").labels) == {-1}


def test_the_real_statistics_keep_every_colour_of_the_ten_domains(shared: Path) -> None:
    found = decathlon.read_statistics(shared / "data/decathlon/decathlon_mean_std.pickle")
    ends = np.array([[0], [255]], np.uint8).repeat(3, 1)[..., None, None]
    for official in DOMAINS.values():
        mean, deviation = found[official.folder]
        low, high = (standardised(end, mean, deviation) for end in ends)
        assert low.min() > 0
        assert high.max() < 255


def test_the_domains_are_numbered_alphabetically() -> None:
    assert [one.folder for one in DOMAINS.values()] == sorted(one.folder for one in DOMAINS.values())
    assert [one.number for one in DOMAINS.values()] == list(range(1, 11))
    assert sum(one.classes for one in DOMAINS.values()) == 3128
    assert [name for name, one in DOMAINS.items() if not one.augmented] == ["gtsrb", "omniglot", "svhn"]


def test_classes_follow_the_category_ids_whatever_folders_and_lists_say(raw: Path) -> None:
    data = Decathlon(domains=["dtd", "vgg_flowers"])
    splits = data.splits(raw)
    assert {name: task["class_names"] for name, task in data.tasks.items()} == {
        n: list(c) for n, (c, _) in SMALL.items()
    }
    assert {name: split.count for name, split in splits.items()} == {"train": 10, "test": 5}
    labels = [[int(splits["train"].load(i)[task]) for i in range(10)] for task in SMALL]
    assert labels == [[0, 1, 2, 0, 1, 2, -1, -1, -1, -1], [-1, -1, -1, -1, -1, -1, 0, 1, 0, 1]]
    assert splits["train"].names[0] == "dtd/train/9000/000001.jpg"
    assert splits["test"].names[-1] == "vgg-flowers/val/8999/000002.jpg"


def test_colours_are_standardised_by_the_domain_and_cropped_in_the_middle(raw: Path) -> None:
    name = raw / "dtd/train/9000/000001.jpg"
    original = np.asarray(Image.open(name)).astype(np.float64)[:, 9:81] / 255
    plain = Decathlon(domains=["dtd"], standardise=False).splits(raw)["train"].load(0)["image"]
    assert np.array_equal(plain, np.rint(np.moveaxis(original, -1, 0) * 255))
    found = Decathlon(domains=["dtd"]).splits(raw)["train"].load(0)["image"]
    z = (np.moveaxis(original, -1, 0) - MEAN[:, None, None]) / DEVIATION[:, None, None]
    assert np.abs((found - 127.5) / 25.5 - z).max() <= 0.5 / 25.5 + 1e-9


def test_test_images_have_ids_and_no_class(raw: Path) -> None:
    annotations, images = Decathlon().unlabelled(raw, "dtd")
    assert annotations.ids == (40200010, 40200011, 40200012, 40200013)
    assert images.count == 4
    assert images.names[3] == "dtd/test/000004.jpg"
    assert images.load(3)["dtd"] == -1
    assert images.load(3)["image"].shape == (3, 72, 72)
    with pytest.raises(DataError, match=r"dtd_test.json: expected categories to measure with, found none; set tested"):
        Decathlon(domains=["dtd"], tested="test").splits(raw)


def test_prepared_domains_hold_the_classes_names(raw: Path, project: Path) -> None:
    text = (project / "params.yaml").read_text()
    block = f"  ten: {{kind: decathlon, source: '{raw}', domains: [vgg_flowers, dtd], height: 16, width: 16}}\n"
    (project / "params.yaml").write_text(text.replace("datasets:\n", f"datasets:\n{block}", 1))
    facts = Manifest.read(pipeline.prepare(load(), "ten")).facts
    assert {name: tuple(task["class_names"]) for name, task in facts["tasks"].items()} == {
        name: classes for name, (classes, _) in SMALL.items()
    }
    assert facts["counts"] == {"train": 10, "test": 5}
    assert set(facts["sources"]) == {
        "dtd", "annotations/dtd_train.json", "annotations/dtd_val.json", "vgg-flowers",
        "annotations/vgg-flowers_train.json", "annotations/vgg-flowers_val.json", "decathlon_mean_std.pickle",
    }  # fmt: skip


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["categories"].pop(), r"expected 3 categories with the ids 40000001 to 40000003, found 2"),
        (lambda c: c["categories"][0].update(id=20000001), "is it that of dtd"),
        (lambda c: c["images"].pop(), "expected 3 images, found 2"),
        (lambda c: c["images"][0].update(id=c["images"][1]["id"]), "expected different ids, found 1 repeated"),
        (
            lambda c: c["images"][0].update(file_name=c["images"][1]["file_name"]),
            "expected different file names, found 1 repeated",
        ),
        (lambda c: c["images"][0].update(file_name="data/dtd/train/1.jpg"), "found 'data/dtd/train/1.jpg'"),
        (lambda c: c["images"][0].update(file_name="data/dtd/val/../../x.jpg"), r"expected images in data/dtd/val/"),
        (lambda c: c["annotations"].pop(), "expected a category for every image, 1 have none"),
        (lambda c: c["annotations"].append(dict(c["annotations"][0])), "found 1 repeated ones and 0 of other"),
        (lambda c: c["annotations"][0].update(image_id=7), "found 0 repeated ones and 1 of other images"),
        (lambda c: c["annotations"][0].update(category_id=40000004), "with its own categories, found others"),
        (lambda c: c.pop("images"), r"one of another form \(KeyError: 'images'\)"),
        (lambda c: c.update(images=[1, 2, 3]), "one of another form"),
        (lambda c: [one.update(id=one["id"] - 6, image_id=one["image_id"] - 6) for one in c["annotations"]]
         and [one.update(id=one["id"] - 6) for one in c["images"]], "other image ids than in training, found 3"),
    ],
)  # fmt: skip
def test_annotations_that_do_not_fit_are_told(raw: Path, change: Change, message: str) -> None:
    path = raw / "annotations" / "dtd_val.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=message) as told:
        Decathlon(domains=["dtd"]).splits(raw)
    assert "dtd_val.json" in str(told.value)


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", "\xff"])
def test_annotations_of_another_form_are_told(raw: Path, text: str) -> None:
    (raw / "annotations" / "dtd_train.json").write_text(text, encoding="latin1")
    with pytest.raises(DataError, match=r"dtd_train.json: expected a JSON file with images"):
        Decathlon(domains=["dtd"]).splits(raw)


def test_missing_files_and_statistics_of_other_domains_are_told(raw: Path) -> None:
    with pytest.raises(DataError, match="expected a folder for each domain, found none for aircraft, svhn"):
        Decathlon(domains=["aircraft", "dtd", "svhn"]).splits(raw)
    (raw / "dtd" / "train" / "9000" / "000001.jpg").unlink()
    with pytest.raises(DataError, match=r"000001.jpg: expected a picture, found no such file"):
        Decathlon(domains=["dtd"]).splits(raw)["train"].load(0)
    (raw / "decathlon_mean_std.pickle").write_bytes(pickle.dumps({"svhnmean": [0.5] * 3, "svhnstd": [0.2] * 3}, 2))
    with pytest.raises(DataError, match=r"a mean and a deviation of every domain, none of .*dtd"):
        Decathlon(domains=["dtd"]).splits(raw)
    (raw / "decathlon_mean_std.pickle").write_bytes(pickle.dumps({"dtdmean": [0.5] * 3, "dtdstd": [0] * 3}, 2))
    with pytest.raises(DataError, match="expected deviations above 0, found 0 for dtd"):
        Decathlon(domains=["dtd"]).splits(raw)
    (raw / "annotations" / "dtd_val.json").unlink()
    with pytest.raises(
        DataError, match=r"dtd_val.json: expected the annotations of the Visual Decathlon, found no such"
    ):
        Decathlon(domains=["dtd"], standardise=False).splits(raw)


EXPERIMENT = """
  small:
    title: Small
    dataset: ten
    tasks: [vgg_flowers, dtd]
    protocol: {name: paper, last_epochs: 1}
    baseline: wrn_single
    models:
      wrn_single: {width: 0.0625}
      wrn_mtan: {width: 0.0625, batch_norm: statistics}
    weightings: {equal: {}}
    seeds: [0]
    training:
      epochs: 1
      batch_size: 2
      optimizer: {name: sgd, learning_rate: 0.1, weight_decay: 0.0}
      schedule: {name: constant}
      drop_last: true
      precision: float32
      augmentation: null
      domains: in_turn
    resources: {gpu: 0, memory_mb: 1000, minutes: 5}
"""


@pytest.fixture
def trained(raw: Path, project: Path) -> Path:
    """Networks of the two domains, one together and two alone."""
    text = (project / "params.yaml").read_text()
    block = f"  ten: {{kind: decathlon, source: '{raw}', domains: [vgg_flowers, dtd], height: 16, width: 16}}\n"
    other = block.replace("ten:", "others:").replace("height: 16", "height: 24")
    text = text.replace("datasets:\n", f"datasets:\n{block}{other}", 1)
    (project / "params.yaml").write_text(text.rstrip() + EXPERIMENT)
    pipeline.prepare(load(), "ten")
    for cell in grid.cells(load(), "small"):
        assert run_cell(cell, load().runtime) == "complete"
    return raw


def test_exported_predictions_have_the_ids_and_categories_of_the_annotations(trained: Path, tmp_path: Path) -> None:
    told: list[str] = []
    many, one = ["small/wrn_mtan/equal/seed0"], [f"small/wrn_single/only_{task}/seed0" for task in SMALL]
    for sources in (many, one):
        out = tmp_path / "results.json"
        export_predictions(load(), "ten", sources, out, told.append, "cpu", 3)
        found = json.loads(out.read_text())
        assert {tuple(entry) for entry in found} == {("image_id", "category_id")}
        predicted = {entry["image_id"]: entry["category_id"] for entry in found}
        assert sorted(predicted) == [entry["image_id"] for entry in sorted(found, key=lambda e: e["image_id"])]
        assert predicted == {**expected("dtd", sources, trained), **expected("vgg_flowers", sources, trained)}
    assert len(set(predicted.values())) > 1
    assert any("has none of aircraft, cifar100" in text for text in told)


def expected(task: str, sources: list[str], raw: Path) -> dict[int, int]:
    """From the folder's pictures and the categories of the annotations, by the network's layers in evaluation."""
    content = json.loads((raw / "annotations" / f"{DOMAINS[task].folder}_test.json").read_text())
    categories = sorted(one["id"] for one in content["categories"])
    model = load_network(next(s for s in sources if task in s or "mtan" in s), "cpu").forward
    found = {}
    for one in content["images"]:
        image = decathlon.read_fitted(raw / one["file_name"].removeprefix("data/"), (16, 16), "crop")
        batch = torch.from_numpy(standardised(image, MEAN, DEVIATION))[None].float() / 255
        with torch.no_grad():
            found[one["id"]] = categories[int(model(batch)[task].argmax())]
    return found


def test_predictions_that_would_be_wrong_are_not_exported(trained: Path, tmp_path: Path) -> None:
    def export(sources: list[str], data: str = "ten", size: int = 8) -> None:
        export_predictions(load(), data, sources, tmp_path / "results.json", print, "cpu", size)

    many = "small/wrn_mtan/equal/seed0"
    with pytest.raises(ParamsError, match="expected a data set of the kind decathlon, found 'rooms' of kind 'rooms'"):
        export([many], "rooms")
    with pytest.raises(ParamsError, match="batch-size: expected at least 1 image, found 0"):
        export([many], size=0)
    with pytest.raises(DataError, match=r"trained on 'others' of params.yaml .* found one of 'decathlon' with the key"):
        export([many], "others")
    with pytest.raises(DataError, match=r"one network for each domain, 'dtd' has small/wrn_mtan/equal/seed0 already"):
        export([many, "small/wrn_single/only_dtd/seed0"])
    with pytest.raises(DataError, match="expected a cell's name or folder"):
        export(["small/wrn_mtan/equal/seed7"])
    path = trained / "annotations" / "dtd_test.json"
    content = json.loads(path.read_text())
    names = [one["name"] for one in content["categories"]]
    for one, name in zip(content["categories"], names[1:] + names[:1], strict=True):
        one["name"] = name
    decathlon._annotations.cache_clear()
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"the classes of 'dtd' that the network learned are not those of the test"):
        export(["small/wrn_single/only_dtd/seed0"])
    path.unlink()
    decathlon._annotations.cache_clear()
    with pytest.raises(DataError, match=r"dtd_test.json: expected the annotations of the Visual Decathlon"):
        export(["small/wrn_single/only_dtd/seed0"])
    assert not (tmp_path / "results.json").exists()
