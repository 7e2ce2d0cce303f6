"""Entries from folders outside the package: found, checked, listed, keyed, trained."""

import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mtlbench.plan import extensions, grid, places
from mtlbench.plan.params import load
from mtlbench.plan.registry import entries
from mtlbench.runs import provenance
from mtlbench.system.errors import ParamsError
from mtlbench.system.files import read_json

EXAMPLE = Path(__file__).parent / "example"


@pytest.fixture(autouse=True)
def _no_extension_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(extensions.VARIABLE, "")


@pytest.fixture
def mine(project: Path, edit) -> Path:
    """The project's own copy of the example in mine/, used by params.yaml."""
    shutil.copytree(EXAMPLE, project / "mine", ignore=shutil.ignore_patterns("__pycache__"))
    edit("run: [tiny]", "extensions: [mine]\nrun: [tiny]")
    edit("dwa: {temperature: 2.0}", "inverse_loss: {power: 0.5}")
    edit("segnet_split: {width: 0.0625}", "three_layers: {filters: 4}")
    return project / "mine"


def mtlbench(*arguments: str, folder: Path, code: int = 0, **environment: str) -> str:
    """Output of the command in a process of its own that knows nothing of this one's extensions."""
    kept = {name: value for name, value in os.environ.items() if name != extensions.VARIABLE}
    command = [sys.executable, "-c", "from mtlbench.cli import main; main()", *arguments]
    done = subprocess.run(command, cwd=folder, env=kept | environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_an_entry_outside_is_found_with_its_options_and_its_version(mine: Path) -> None:
    cell = grid.cell(load(), "tiny/three_layers/inverse_loss/seed0")
    assert cell.spec["weighting"] == {"kind": "inverse_loss", "version": 1, "options": {"power": 0.5}}
    path = mine / "weightings" / "inverse_loss.py"
    path.write_text(
        path.read_text().replace(
            'paper: ClassVar[str] = "an', 'version: ClassVar[int] = 2\n    paper: ClassVar[str] = "an'
        )
    )
    key = "from mtlbench.plan import grid; from mtlbench.plan.params import load; print(grid.cell(load(), '{}').key)"
    command = [sys.executable, "-c", key.format(cell.path)]
    assert subprocess.check_output(command, text=True).strip() != cell.key


def test_without_the_folder_the_entry_is_unknown(mine: Path, edit) -> None:
    load()
    edit("extensions: [mine]", "extensions: []")
    with pytest.raises(ParamsError, match="unknown model 'three_layers'"):
        load()
    assert "inverse_loss" not in entries("weightings")


def test_options_are_checked_like_those_of_shipped_entries(mine: Path, edit) -> None:
    edit("power: 0.5", "powr: 0.5")
    with pytest.raises(ParamsError, match=r"inverse_loss\.powr: unknown key. Did you mean 'power'"):
        load()


def test_the_folder_is_relative_to_params_yaml(mine: Path, tmp_path_factory, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    load(mine.parent / "params.yaml")
    assert entries("weightings")["inverse_loss"].path == mine / "weightings" / "inverse_loss.py"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("[nowhere]", r"params.yaml: extensions\[0\]: expected a folder, found 'nowhere'"),
        ("[mine, mine/../mine]", r"extensions\[1\].*listed twice"),
        ("[mine/weightings]", "expected a folder with datasets, tasks, models, weightings"),
        ("mine", "expected a list of folders, found 'mine'"),
        ("", "expected a list of folders, found None"),
    ],
)
def test_a_wrong_folder_is_refused(mine: Path, edit, value: str, words: str) -> None:
    edit("extensions: [mine]", f"extensions: {value}")
    with pytest.raises(ParamsError, match=words):
        load()


@pytest.mark.parametrize("name", ["dwa.py", "_gradients.py"])
def test_a_name_that_is_shipped_is_refused_with_both_places(mine: Path, name: str) -> None:
    (mine / "weightings" / name).write_text("")
    with pytest.raises(ParamsError) as caught:
        load()
    assert str(mine / "weightings" / name) in str(caught.value)
    assert str(extensions.package() / "weightings" / name) in str(caught.value)


def test_a_name_of_another_folder_is_refused_with_both_places(mine: Path, edit) -> None:
    other = shutil.copytree(mine, mine.parent / "other")
    edit("extensions: [mine]", "extensions: [mine, other]")
    with pytest.raises(ParamsError) as caught:
        load()
    assert str(other / "datasets" / "patches.py") in str(caught.value)
    assert str(mine / "datasets" / "patches.py") in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class A(:", "options cannot be read"),
        ("class A:\n    def __init__(self, *, x: Width = 1.0): ...", "options cannot be read"),
        ("class A:\n    def __init__(self, *, x: float = one()): ...", "Defaults must be literals"),
        ("", "expected exactly one public class"),
    ],
)
def test_a_file_that_is_no_entry_is_refused_by_name(mine: Path, text: str, words: str) -> None:
    (mine / "weightings" / "new.py").write_text(text.replace("Width", "Width_"))
    with pytest.raises(ParamsError, match=words) as caught:
        load()
    assert str(mine / "weightings" / "new.py") in str(caught.value)


def test_the_listing_shows_where_an_entry_comes_from(mine: Path) -> None:
    shown = mtlbench("list", "weightings", folder=mine.parent, COLUMNS="400")
    assert any("inverse_loss" in line and str(mine) in line for line in shown.splitlines())
    assert any(" dwa " in line and "mtlbench" in line for line in shown.splitlines())


def test_a_pickled_object_of_an_entry_opens_in_a_process_that_knows_the_environment_only(mine: Path, tmp_path) -> None:
    load()
    weighting = entries("weightings")["inverse_loss"].load()(["a", "b"], power=2.0)
    (tmp_path / "object").write_bytes(pickle.dumps(weighting))
    code = f"import pickle; print(pickle.load(open({str(tmp_path / 'object')!r}, 'rb')).power)"
    assert subprocess.check_output([sys.executable, "-c", code], cwd="/", text=True).strip() == "2.0"


def test_the_source_of_a_folder_is_recorded(mine: Path) -> None:
    load()
    before = provenance.record()["extensions"]
    assert list(before) == ["mine"]
    assert before["mine"]["source"] == provenance.source_digest(mine)


ENTRIES = """
  mine:
    title: All four kinds from one folder
    dataset: patches
    tasks: [segmentation, albedo]
    protocol: {name: paper, last_epochs: 1}
    baseline: null
    models:
      three_layers: {filters: 4}
    weightings:
      inverse_loss: {power: 0.5}
      equal: {}
    seeds: [0]
    training:
      epochs: 2
      batch_size: 2
      optimizer: {name: adam, learning_rate: 1.0e-3, weight_decay: 0.0}
      schedule: {name: constant}
      drop_last: false
      precision: float32
      augmentation: {scales: [1.0, 1.2], flip: true}
    resources: {gpu: 0, memory_mb: 1000, minutes: 5}
"""


@pytest.fixture
def whole(mine: Path, edit) -> Path:
    """The project with one experiment whose dataset, second task, model and weighting are those of mine/."""
    text = (mine.parent / "params.yaml").read_text()
    text = text[: text.index("experiments:")].replace("run: [tiny]", "run: [mine]").replace("workers: 1", "workers: 2")
    text = text.replace("datasets:\n", "datasets:\n  patches: {train: 8, test: 4}\n")
    (mine.parent / "params.yaml").write_text(text + "experiments:" + ENTRIES)
    return mine


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_dataset_task_model_and_weighting_of_a_folder_train_and_are_reported(whole: Path, edit, processes: int) -> None:
    edit("batch_size: 2", f"batch_size: 2\n      processes: {processes}")
    mtlbench("prepare", "patches", folder=whole.parent)
    assert "albedo" in mtlbench("inspect", "patches", folder=whole.parent)
    cells = grid.cells(load(), "mine")
    mtlbench("train", *(cell.path for cell in cells), folder=whole.parent)
    for cell in cells:
        manifest = read_json(cell.manifest)
        assert manifest["status"] == "complete"
        assert manifest["extensions"]["mine"]["source"] == provenance.source_digest(whole)
    reported = read_json(cells[0].folder / "metrics.json")["reported"]
    assert set(reported["albedo"]) == {"abs_error", "rms_error"}
    assert 0 < reported["albedo"]["abs_error"] <= reported["albedo"]["rms_error"]
    if processes == 1:
        mtlbench("report", "mine", folder=whole.parent)
        page = (whole.parent / places.report("mine") / "index.html").read_text()
        assert "RMS err." in page
        assert "inverse_loss" in page


@pytest.mark.slow
def test_an_edited_formula_is_told_by_status_verify_and_report_until_the_cell_is_trained_again(whole: Path) -> None:
    folder, path = whole.parent, whole / "weightings" / "inverse_loss.py"
    cell, other = "mine/three_layers/inverse_loss/seed0", "mine/three_layers/equal/seed0"
    mtlbench("prepare", "patches", folder=folder)
    mtlbench("train", cell, other, folder=folder)

    def told() -> list[bool]:
        page = folder / places.report("mine") / "index.html"
        page.unlink(missing_ok=True)
        for manifest in page.parent.glob("manifest.*"):
            manifest.unlink()
        mtlbench("report", "mine", folder=folder)
        shown = [mtlbench("status", "mine", folder=folder, COLUMNS="400"), mtlbench("verify", folder=folder)]
        texts = ["\n".join(line for line in text.splitlines() if cell in line) for text in shown]
        assert not any("other code" in line for text in shown for line in text.splitlines() if other in line)
        return ["weightings/inverse_loss.py" in text for text in [*texts, page.read_text()]]

    assert told() == [False, False, False]
    path.write_text(
        path.read_text().replace('"""Weights proportional', '# A comment.\n    """Weights very proportional')
    )
    assert told() == [False, False, False]
    path.write_text(path.read_text().replace("** -self.power", "** (-2 * self.power)"))
    assert told() == [True, True, True]
    mtlbench("train", "--again", cell, folder=folder)
    assert told() == [False, False, False]


def contract_tests(repository: Path, folder: Path) -> subprocess.CompletedProcess:
    """What `make test-extension FOLDER=...` runs, in a process that has no extensions yet."""
    rule = (repository / "Makefile").read_text().split("test-extension: env\n")[1].split("\n")[0]
    command = rule.strip().replace("$(BIN)/python", sys.executable).replace("$(FOLDER)", str(folder))
    assert "pytest --extension" in command
    kept = {name: value for name, value in os.environ.items() if name != extensions.VARIABLE}
    return subprocess.run(
        command + " -q -rA -p no:cacheprovider", shell=True, cwd=repository, env=kept, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_the_documented_command_tests_the_entries_of_a_folder_and_no_other(repository: Path, tmp_path: Path) -> None:
    done = contract_tests(repository, EXAMPLE)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = [line for line in done.stdout.splitlines() if line.startswith("PASSED")]
    assert len([line for line in passed if "inverse_loss" in line]) > 10
    assert len([line for line in passed if "three_layers" in line]) > 5
    assert not [line for line in passed if "[dwa" in line or "[segnet" in line]

    broken = shutil.copytree(EXAMPLE, tmp_path / "broken")
    path = broken / "weightings" / "inverse_loss.py"
    path.write_text(path.read_text().replace("return self.count", "return float('nan')"))
    done = contract_tests(repository, broken)
    assert done.returncode == 1
    assert re.search(r"^FAILED tests/weightings/test_contract\.py::\S*inverse_loss", done.stdout, re.M), done.stdout
