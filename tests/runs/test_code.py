"""Changed code is noticed, and only code that a cell's numbers depend on."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mtlbench import pipeline
from mtlbench.plan import extensions, grid
from mtlbench.plan.params import load
from mtlbench.plan.recipe import Recipe
from mtlbench.runs import code, status
from mtlbench.system.files import read_json
from mtlbench.training.cell import run_cell
from mtlbench.verify import verify

SPEC = {
    "version": 1, "dataset": "0" * 16, "seed": 0, "tasks": ["depth", "normals"],
    "model": {"kind": "segnet_mtan", "version": 1, "options": {}},
    "weighting": {"kind": "dwa", "version": 1, "options": {}},
    "training": {
        "epochs": 1, "batch_size": 2, "optimizer": {"name": "adam", "learning_rate": 1e-3, "weight_decay": 0},
        "schedule": {"name": "constant"}, "drop_last": False, "precision": "float32", "augmentation": None,
    },
    "protocol": {"name": "paper", "last_epochs": 1},
}  # fmt: skip
RECIPE = Recipe.of(SPEC)


def test_a_reader_is_told_three_changed_files() -> None:
    assert code.remedy("a/b/c/seed0", ["models/x.py"]).startswith(
        "made with other code than today's in models/x.py; `mt"
    )
    many = code.remedy("a/b/c/seed0", ["datasets/d.py", *(f"models/{name}.py" for name in "abcd")])
    assert "in datasets/d.py, models/a.py, models/b.py and 2 more files; `mtlbench prepare --again`" in many


def forget() -> None:
    """What a new process does not know."""
    for cached in (code._digests, code._read, code._file):
        cached.cache_clear()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package's source."""
    folder = tmp_path_factory.mktemp("copy") / "mtlbench"
    return shutil.copytree(extensions.package(), folder, ignore=shutil.ignore_patterns("__pycache__"))


@pytest.fixture
def source(copy: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str, str], None]]:
    """A function that replaces text in a file of the copy, which stands for the package of today."""
    edited: dict[Path, str] = {}
    monkeypatch.setattr(extensions, "package", lambda: copy)
    forget()

    def edit(name: str, old: str, new: str) -> None:
        text = edited.setdefault(copy / name, (copy / name).read_text())
        assert text.count(old) >= 1
        (copy / name).write_text(text.replace(old, new))
        forget()

    yield edit
    for path, text in edited.items():
        path.write_text(text)
    forget()


EDITS = [
    ("weightings/dwa.py", "self.count * torch", "2 * self.count * torch", True),
    ("weightings/dwa.py", "_SMALLEST_MEAN = 1e-12", "_SMALLEST_MEAN = 1e-11", True),
    ("weightings/dwa.py", "# Keeps a ratio", "# Holds a ratio", False),
    ("weightings/dwa.py", "Set the epoch's weights", "Take the epoch's weights", False),
    (
        "weightings/dwa.py",
        "            return self.epoch_weights",
        "            return (\n  self.epoch_weights)",
        False,
    ),
    ("weightings/_base.py", "values.isfinite(), values, 1.0", "values.isfinite(), values, 2.0", True),
    ("weightings/dwa.py", 'display: ClassVar[str] = "DWA"', 'display: ClassVar[str] = "Average"', False),
    ("weightings/cagrad.py", "import torch", "import torch as torch2", False),
    ("models/blocks/attention.py", "nn.Sigmoid()", "nn.Tanh()", True),
    ("models/segnet_split.py", "decoded[0]", "decoded[1]", False),
    ("tasks/_distance.py", ".abs()", ".square()", True),
    ("tasks/segmentation.py", "+ 1", "+ 2", False),
    ("training/step.py", "set_to_none=True", "set_to_none=False", True),
    ("training/augmentation.py", "_JUMP = 0.02", "_JUMP = 0.03", True),
    ("metrics/angles.py", "0.1", "0.2", True),
    ("training/progress.py", "import", "import  ", False),
    ("system/lease.py", "import os", "import os as os2", False),
    ("report/build.py", "import", "import ", False),
    ("cli.py", "import logging", "import logging as logs", False),
]


@pytest.mark.parametrize(("name", "old", "new", "counts"), EDITS)
def test_what_is_computed_counts_and_nothing_else(source, name: str, old: str, new: str, counts: bool) -> None:
    before = code.of_training(RECIPE)
    source(name, old, new)
    after = code.of_training(RECIPE)
    changed = [file for file in before.keys() | after.keys() if before.get(file) != after.get(file)]
    assert changed == ([name] if counts else [])


def test_a_file_of_several_processes_counts_where_there_are_several() -> None:
    two = Recipe.of(SPEC | {"training": SPEC["training"] | {"processes": 2}})
    alone, several = code.of_training(RECIPE), code.of_training(two)
    assert "training/processes/connected.py" in several.keys() - alone.keys()


def test_a_dataset_depends_on_what_makes_its_arrays(source) -> None:
    before = code.of_dataset("mtlbench.datasets.nyuv2")
    assert {"datasets/nyuv2.py", "datasets/geometry/normals.py", "maps.py"} <= before.keys()
    assert not any(name.startswith(("training/", "weightings/", "datasets/rooms")) for name in before)


def test_the_modules_that_are_left_out_exist() -> None:
    for module in (*code._APART, code._TRAINING, code._SEVERAL, code._PREPARATION):
        path = extensions.package().parent.joinpath(*module.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), module


def finished(path: str) -> grid.Cell:
    """A trained cell."""
    pipeline.prepare(load(), "rooms")
    cell = grid.cell(load(), path)
    run_cell(cell, load().runtime)
    return cell


def test_status_and_verify_name_cell_and_file_and_again_mends_it(project, source) -> None:
    cell = finished("tiny/segnet_split/dwa/seed0")
    other = finished("tiny/segnet_split/equal/seed0")
    assert status.state(cell).name == "done"
    source("weightings/dwa.py", "self.count * torch", "1.5 * self.count * torch")
    found = status.state(cell)
    assert found.name == "done, other code"
    assert "weightings/dwa.py" in found.detail
    assert f"`mtlbench train --again {cell.path}`" in found.detail
    assert status.state(other).name == "done"
    said: list[str] = []
    verify(load(), None, said.append)
    assert [line for line in said if "other code" in line] == [f"{cell.path}: {found.detail}"]

    weights = (cell.checkpoint_folder / "model.safetensors").read_bytes()
    before = cell.manifest.stat().st_ino
    assert run_cell(cell, load().runtime, again=True) == "complete"
    assert cell.manifest.stat().st_ino != before
    assert status.state(cell).name == "done"
    assert (cell.checkpoint_folder / "model.safetensors").read_bytes() == weights  # the code that runs is the old one
    verify(load(), None, said.append)


def test_code_of_the_data_is_that_of_its_preparation(project, source) -> None:
    cell = finished("tiny/segnet_split/dwa/seed0")
    source("datasets/scenes/draw.py", "(total - 2.0)", "(total - 2.5)")
    found = status.state(cell)
    assert "datasets/scenes/draw.py" in found.detail
    assert "mtlbench prepare --again" in found.detail
    run_cell(cell, load().runtime, again=True)
    assert status.state(cell).name == "done, other code"  # the arrays are the same
    pipeline.prepare(load(), "rooms", again=True)
    run_cell(cell, load().runtime, again=True)
    assert status.state(cell).name == "done"


def test_an_interrupted_repetition_keeps_the_result_and_its_parts_tell_their_code(project, source, monkeypatch) -> None:
    from mtlbench.system.errors import Interrupted
    from mtlbench.training import loop
    from mtlbench.training.trainer import Trainer

    cell = finished("tiny/segnet_split/dwa/seed0")

    def stop(trainer: Trainer) -> None:
        trainer.hooks.stop = lambda: trainer.epoch >= 1  # type: ignore[misc]
        original(trainer)

    original = loop.run
    monkeypatch.setattr(loop, "run", stop)
    with pytest.raises(Interrupted):
        run_cell(cell, load().runtime, again=True)
    assert status.state(cell).name == "done"
    monkeypatch.setattr(loop, "run", original)
    source("weightings/dwa.py", "self.count * torch", "1.5 * self.count * torch")
    run_cell(cell, load().runtime, again=True)
    assert len(read_json(cell.manifest)["segments"]) == 2
    forget()
    assert status.state(cell).name == "done, other code"  # of the first part
