"""`mtlbench predict` as a user gives it."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import mtlbench
from mtlbench.inference.export import export
from mtlbench.inference.inputs import not_looked_into, pictures_of
from mtlbench.inference.network import Network
from mtlbench.inference.predict import predict
from mtlbench.system.errors import DataError
from mtlbench.training.description import Description, TaskFacts

from .conftest import CELL


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with pictures of several sizes and modes, two of one name, and a text."""
    folder = tmp_path / "photos"
    folder.mkdir()
    colours = np.random.default_rng(0).integers(0, 255, (45, 60, 3), np.uint8)
    Image.fromarray(colours).save(folder / "a.jpg")
    Image.fromarray(colours[:20, :33, 0]).save(folder / "a.png")
    Image.fromarray(colours).resize((500, 70)).convert("RGBA").save(folder / "wide.PNG")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_results_have_the_pictures_own_size(trained, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    said: list[str] = []
    inner = photos / "inner"
    inner.mkdir()
    Image.new("RGB", (8, 8)).save(inner / "c.png")
    predict(CELL, [photos], out, said.append, "cpu", batch_size=2)
    assert said == [
        f"3 pictures, segmentation, depth, normals: look at {out}/contact_sheet.png",
        f"{inner}: not looked into, it is a folder in a folder; name it too to have its pictures",
    ]
    sizes = {"a": (45, 60), "a_2": (20, 33), "wide": (70, 500)}
    network = mtlbench.load(CELL, "cpu")
    for name, size in sizes.items():
        source = photos / {"a": "a.jpg", "a_2": "a.png", "wide": "wide.PNG"}[name]
        for task, expected in network.predict(source).items():
            stored = np.load(out / f"{name}_{task}.npy")
            assert stored.dtype == expected.dtype
            assert stored.shape[-2:] == size
            # Batches of another size may round otherwise: 1 % of the pixels may fall on the other side of a border.
            if task == "segmentation":
                assert (stored == expected).mean() > 0.99
            else:
                np.testing.assert_allclose(stored, expected, atol=5e-3)
            drawn = np.asarray(Image.open(out / f"{name}_{task}.png"))
            assert np.array_equal(drawn, network.tasks[task].draw(stored))
            over = np.asarray(Image.open(out / f"{name}_{task}_overlay.png")).astype(int)
            picture = np.asarray(Image.open(source).convert("RGB")).astype(int)
            assert np.abs(over - (drawn.astype(int) + picture) / 2).max() <= 1
    with open(out / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["picture"]) for row in rows][1] == ("a_2", str(photos / "a.png"))
    assert [(int(row["height"]), int(row["width"])) for row in rows] == list(sizes.values())
    assert (out / "legend.png").is_file()
    assert network.description.key in (out / "network.json").read_text()


def test_a_picture_that_cannot_be_read_does_not_stop_the_others(trained, photos: Path, tmp_path: Path) -> None:
    (photos / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(DataError, match=r"1 of 4 pictures could not be read:\n  .*b\.png: expected a picture"):
        predict(CELL, [photos], tmp_path / "out", print, "cpu")
    assert {path.name for path in (tmp_path / "out").glob("*_depth.npy")} == {
        "a_depth.npy", "a_2_depth.npy", "wide_depth.npy",
    }  # fmt: skip


@pytest.mark.parametrize("to", ["torch", "onnx"])
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_an_exported_file_predicts_what_its_cell_does(trained, photos: Path, tmp_path: Path, to: str, request) -> None:
    path = request.getfixturevalue("onnx_file") if to == "onnx" else export(CELL, to, None, print)
    for source, out in ((CELL, "cell"), (str(path), "file")):
        predict(source, [photos], tmp_path / out, print, "cpu", batch_size=2)
    names = {path.name for path in (tmp_path / "cell").iterdir()}
    assert {path.name for path in (tmp_path / "file").iterdir()} == names
    assert (tmp_path / "file" / "network.json").read_text() == (tmp_path / "cell" / "network.json").read_text()
    for name in (name for name in names if name.endswith(".npy")):
        expected, found = (np.load(tmp_path / out / name) for out in ("cell", "file"))
        close = found == expected if "segmentation" in name else np.abs(found - expected) < 5e-3
        assert close.mean() > 0.99, name  # other kernels: a border may move by a pixel


def test_a_classifier_s_answers_are_a_table(photos: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """Two domains; the network calls a picture that is mostly dark class 0 of both, and others class 1."""
    names = {"animals": ["cat", "dog"], "digits": ["one", "two"]}
    tasks = {
        name: TaskFacts(
            options={"kind": "classification", "classes": 2, "class_names": two}, channels=2, units={"top1": "%"}
        )
        for name, two in names.items()
    }
    description = Description(
        key="0" * 16, spec={"tasks": list(names)}, size=(32, 32), tasks=tasks, metrics={}, licence="",
        dataset={"kind": "shapes", "key": "1" * 16, "note": "", "images": {}},
    )  # fmt: skip

    def forward(image: torch.Tensor) -> dict[str, torch.Tensor]:
        light = image.mean((1, 2, 3)) - 0.5
        return {name: torch.stack([-light, light], 1) for name in names}

    network = Network(forward, description, torch.device("cpu"))
    monkeypatch.setattr("mtlbench.inference.predict.load", lambda source, device: network)
    Image.new("RGB", (40, 30), (5, 5, 5)).save(photos / "night.png")
    Image.new("RGB", (40, 30), (250, 250, 250)).save(photos / "snow.png")
    out = tmp_path / "out"
    predict("any", [photos / "night.png", photos / "snow.png"], out, print, "cpu")
    with open(out / "predictions.csv", newline="") as file:
        rows = {row["name"]: (row["animals"], row["digits"]) for row in csv.DictReader(file)}
    assert rows == {"night": ("cat", "one"), "snow": ("dog", "two")}
    printed = capsys.readouterr().out
    assert [line.replace("│", " ").split() for line in printed.splitlines() if "night" in line or "snow" in line] == [
        ["night", "cat", "one"], ["snow", "dog", "two"],
    ]  # fmt: skip
    assert f"2 pictures, animals, digits: look at {out}/predictions.csv" in printed
    assert {path.name for path in out.iterdir()} == {"predictions.csv", "network.json"}


def test_what_is_asked_for_is_there(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(DataError, match=r"none.jpg: expected a picture or a folder of pictures, found no such file"):
        pictures_of([photos / "none.jpg"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: expected a folder of pictures, found none with \.png"):
        pictures_of([tmp_path / "empty"])
    (tmp_path / "empty/inner").mkdir()
    assert not_looked_into([tmp_path / "empty"]) == []
    (photos / "a.jpg").rename(tmp_path / "empty/inner/a.jpg")
    assert not_looked_into([photos, tmp_path / "empty"]) == [tmp_path / "empty/inner"]
    with pytest.raises(DataError, match=r"empty: .*; there are some in .*/empty/inner"):
        pictures_of([tmp_path / "empty"])
    (tmp_path / "empty/inner/a.jpg").rename(photos / "a.jpg")
    assert list(pictures_of([photos / "a.png", photos, photos])) == ["a", "a_2", "a_3", "wide", "a_4", "a_5", "wide_2"]


def test_the_command(trained, photos: Path, tmp_path: Path) -> None:
    code = "from mtlbench.cli import main; main()"
    command = [sys.executable, "-c", code, "predict", CELL, str(photos / "a.jpg"), "--out", str(tmp_path / "out")]
    run = subprocess.run([*command, "--device", "cpu"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "1 picture, segmentation, depth, normals: look at" in run.stdout
    run = subprocess.run([*command, "--device", "gpu"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "expected auto, cpu, cuda or cuda:<n>, found 'gpu'" in run.stderr
