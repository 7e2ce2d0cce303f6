"""Small files of finished cells that other machines take: nothing is trained twice, nothing false is taken."""

import shutil
from pathlib import Path

import pytest

from mtlbench import pipeline, verify
from mtlbench.plan import grid, places
from mtlbench.plan.params import load
from mtlbench.report.rows.cells import load_cell
from mtlbench.report.rows.collect import report_input
from mtlbench.reproduce import reproduce
from mtlbench.runs import shipped, status
from mtlbench.system.errors import DataError
from mtlbench.training import cell as training
from mtlbench.training.cell import run_cell

CELL = "tiny/segnet_split/dwa/seed0"


@pytest.fixture
def cell(project) -> grid.Cell:
    """A trained cell in a project of its own."""
    pipeline.prepare(load(), "rooms")
    made = grid.cell(load(), CELL)
    run_cell(made, load().runtime)
    return made


@pytest.fixture
def elsewhere(cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> grid.Cell:
    """The same cell in a clone that has what was committed, and nothing else; training there is an error."""
    shipped.ship([cell], print)
    clone = tmp_path / "clone"
    for path in (Path("params.yaml"), places.SHIPPED_CELLS):
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, clone / path)
    monkeypatch.chdir(clone)
    monkeypatch.setattr(training, "_train_into_store", lambda *_: pytest.fail("it was trained again"))
    return grid.cell(load(), CELL)


def test_a_clone_takes_the_cell_without_training_or_data(elsewhere) -> None:
    assert status.state(elsewhere).name == "shipped"
    assert run_cell(elsewhere, load().runtime) == "complete"
    assert sorted(path.name for path in elsewhere.folder.iterdir()) == [
        "history.csv", elsewhere.manifest.name, "metrics.json", "per_image.npz"
    ]  # fmt: skip
    assert status.state(elsewhere).name == "done"
    inputs = report_input(load(), "tiny", partial=True).cells
    read = load_cell(next(one for one in inputs if one.path == CELL))
    assert read.metrics["reported"]["depth"]["abs_error"] > 0
    assert read.unusable == {}
    assert read.per_image()
    assert read.samples() == {}


def test_verify_says_what_was_left_out_and_still_sees_damage(elsewhere) -> None:
    run_cell(elsewhere, load().runtime)
    said: list[str] = []
    verify.verify(load(), "tiny", said.append, deep=1)
    assert said[0] == f"{CELL}: trained elsewhere, without model.safetensors, samples.npz"
    (elsewhere.folder / "history.csv").unlink()
    with pytest.raises(verify.VerificationError, match=r"history\.csv: missing"):
        verify.verify(load(), "tiny", print)


def test_weights_that_are_lost_where_the_cell_was_trained_are_missed_there(cell) -> None:
    (cell.checkpoint_folder / "model.safetensors").unlink()
    with pytest.raises(verify.VerificationError, match=r"model\.safetensors: missing"):
        verify.verify(load(), "tiny", print)


def test_a_shipped_file_that_was_lost_or_edited_is_not_taken(elsewhere) -> None:
    path = places.shipped(elsewhere.key) / "metrics.json"
    path.rename("metrics.json")  # the folder was copied by half
    with pytest.raises(DataError, match=r"metrics\.json: missing; `git checkout"):
        run_cell(elsewhere, load().runtime)
    shutil.copyfile("metrics.json", path)
    path.write_text(path.read_text().replace("0.", "1.", 1))
    with pytest.raises(DataError, match=r"metrics\.json: its content changed; `git checkout"):
        run_cell(elsewhere, load().runtime)
    assert not elsewhere.manifest.exists()


def test_a_shipped_cell_is_reproduced_to_the_same_bytes(cell) -> None:
    shipped.ship([cell], print)
    for folder in (cell.folder, cell.checkpoint_folder, places.STORE):
        shutil.rmtree(folder)
    run_cell(cell, load().runtime)
    assert not (cell.checkpoint_folder / "model.safetensors").exists()
    said: list[str] = []
    reproduce(cell, load().runtime, said.append)
    assert said == [f"{CELL}: all 5 outputs have the same bytes"]


def test_a_partial_report_shows_what_was_shipped(elsewhere) -> None:
    pipeline.report(load(), "tiny", partial=True)
    table = (places.report("tiny") / "table.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[:3] for line in table if ",1," in line] == [["segnet_split", "dwa", "1"]], table
    assert status.state(elsewhere).name == "done"


def test_shipping_is_repeatable_and_says_what_it_did(cell, capsys: pytest.CaptureFixture[str]) -> None:
    cells = grid.cells(load(), "tiny")
    shipped.ship(cells, print)
    shipped.ship(cells, print)
    shipped.ship(cells, print, pictures=True)
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith(f"1 cell copied, 0 there before, {len(cells) - 1} not finished; ")
    assert second.startswith("0 cells copied, 1 there before")
    assert third.startswith("1 cell copied")
    assert (places.shipped(cell.key) / "samples.npz").exists()
    assert shipped.withheld(cell) == frozenset(), "it was trained here"
    (cell.folder / "metrics.json").write_text("{}")
    shutil.rmtree(places.SHIPPED_CELLS)
    with pytest.raises(DataError, match=r"metrics\.json: damaged \(its content changed"):
        shipped.ship(cells, print)
    with pytest.raises(DataError, match="1 cell, none finished: there is nothing"):
        shipped.ship([grid.cell(load(), "tiny/segnet_split/equal/seed0")], print)


def test_of_a_trial_the_numbers_of_every_image_stay_behind(project, edit) -> None:
    space = "{optimizer: {learning_rate: {values: [0.001]}}}"
    block = f"{{trials: 1, epochs: 1, held_out: 0.34, rule: primary_gain, space: {space}}}"
    edit("    baseline: segnet_single\n", f"    baseline: segnet_single\n    search: {block}\n")
    pipeline.prepare(load(), "rooms")
    trial = grid.cell(load(), "tiny/segnet_split/equal/trial0")
    run_cell(trial, load().runtime)
    shipped.ship([trial], print)
    files = ["history.csv", trial.manifest.name, "metrics.json"]
    assert sorted(path.name for path in places.shipped(trial.key).iterdir()) == files
    for folder in (trial.folder, trial.checkpoint_folder, places.STORE):
        shutil.rmtree(folder)
    assert run_cell(trial, load().runtime) == "complete"
    assert sorted(path.name for path in trial.folder.iterdir()) == files
    assert shipped.withheld(trial) == {"model.safetensors", "per_image.npz", "samples.npz"}
