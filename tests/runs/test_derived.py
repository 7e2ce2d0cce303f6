"""What final runs of a search and frozen weightings train, from result files that are made up."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mtlbench import verify
from mtlbench.plan import grid, summaries
from mtlbench.plan.params import load
from mtlbench.runs import derived, prune, status
from mtlbench.runs.manifest import Manifest, write
from mtlbench.system.errors import DamagedError, DataError
from mtlbench.system.files import write_text

FINAL, FROZEN = "tiny/segnet_split/dwa/seed0", "tiny/segnet_split/frozen/trial1"
HISTORY = "epoch,weight_segmentation,weight_depth,weight_normals\n0,1.0,1.0,1.0\n1,0.5,1.25,1.25\n"


@pytest.fixture
def cells(search) -> dict[str, grid.Cell]:
    return {cell.path: cell for cell in grid.every_cell(load(), "tiny")}


def select(cells: dict[str, grid.Cell], number: int | None = 1) -> Manifest:
    """A selection that chose this trial for dwa."""
    spec = summaries.selection_spec(load(), "tiny")
    assert spec is not None
    tried = cells["tiny/segnet_split/dwa/trial1"].spec
    setting = {"optimizer": tried["training"]["optimizer"], "model": tried["model"], "weighting": tried["weighting"]}
    key = cells["tiny/segnet_split/dwa/trial0"].key
    row = {"chosen": number, "reason": "diverged: NaN", "trials": [{"key": key}], **setting}
    folder = cells[FINAL].needs.parent
    write_text(folder / derived.SELECTION, json.dumps({"rows": {"segnet_split/dwa": row}}))
    return Manifest.read(write(folder, spec, {derived.SELECTION: folder / derived.SELECTION}))


def finish(cell: grid.Cell, status: str = "complete") -> Manifest:
    """A finished run with a history."""
    write_text(cell.folder / "history.csv", HISTORY)
    facts = {"status": status, "reason": "NaN", "data": {}, "dataset": {"key": cell.dataset.key}, "flops": 7}
    provenance = {"versions": {}, "commit": None, "source": ""}
    return Manifest.read(write(cell.folder, cell.spec, {"history.csv": cell.folder / "history.csv"}, facts, provenance))


def test_an_ordinary_cell_trains_itself(cells) -> None:
    trial = cells["tiny/segnet_split/dwa/trial0"]
    assert derived.resolved(trial) is trial
    assert derived.facts(trial, trial) == {}


def test_a_final_run_trains_the_chosen_setting_for_the_final_epochs(cells) -> None:
    select(cells)
    final, tried = cells[FINAL], cells["tiny/segnet_split/dwa/trial1"]
    trained = derived.resolved(final)
    assert trained.spec["training"] == {**tried.spec["training"], "epochs": 3}
    assert trained.spec["weighting"] == tried.spec["weighting"]
    assert trained.spec["protocol"] == final.spec["protocol"]
    assert trained.spec["seed"] == 0
    assert trained.path == final.path
    assert trained.key != final.key


def test_a_final_run_takes_the_chosen_schedule(cells) -> None:
    select(cells)
    folder = cells[FINAL].needs.parent
    found = json.loads((folder / derived.SELECTION).read_text())
    found["rows"]["segnet_split/dwa"]["schedule"] = {"name": "step", "every": 2, "factor": 0.5}
    write_text(folder / derived.SELECTION, json.dumps(found))
    write(folder, summaries.selection_spec(load(), "tiny"), {derived.SELECTION: folder / derived.SELECTION})
    assert derived.resolved(cells[FINAL]).recipe.training.schedule.name == "step"


def test_the_same_setting_by_hand_is_the_same_training(cells, search) -> None:
    """What a final run trains is the ordinary cell of that setting, so the store has it once."""
    select(cells)
    trained = derived.resolved(cells[FINAL])
    optimizer, options = trained.spec["training"]["optimizer"], trained.spec["weighting"]["options"]
    params = Path("params.yaml")
    start, _, end = params.read_text().partition("    search:")
    text = start + end[end.index("    resources:") :]
    text = text.replace("learning_rate: 1.0e-3", f"learning_rate: {optimizer['learning_rate']}")
    text = text.replace("weight_decay: 0.0}", f"weight_decay: {optimizer['weight_decay']}}}")
    write_text(params, text.replace("dwa: {}", f"dwa: {{temperature: {options['temperature']}}}"))
    assert trained.key == {cell.path: cell.key for cell in grid.cells(load(), "tiny")}[FINAL]


def test_without_its_selection_a_final_run_says_what_to_do(cells) -> None:
    with pytest.raises(DataError, match=r"dwa/seed0: it takes its setting from .* `mtlbench select tiny` first"):
        derived.resolved(cells[FINAL])


def test_an_edited_selection_is_not_used(cells) -> None:
    manifest = select(cells)
    write_text(manifest.path.parent / derived.SELECTION, "{}")
    with pytest.raises(DamagedError, match="its content changed"):
        derived.resolved(cells[FINAL])


def test_a_row_without_a_choice_diverged(cells) -> None:
    select(cells, None)
    finish(cells["tiny/segnet_split/dwa/trial0"], "diverged")
    with pytest.raises(
        derived.NothingToTrainError, match="no trial of segnet_split/dwa has a score: diverged"
    ) as found:
        derived.resolved(cells[FINAL])
    derived.unusable(cells[FINAL], found.value).save()
    assert status.state(cells[FINAL]).name == "diverged"


def test_frozen_weights_are_the_means_over_the_epochs(cells) -> None:
    finish(cells["tiny/segnet_split/dwa/trial1"])
    trained = derived.resolved(cells[FROZEN])
    assert trained.spec["weighting"] == {
        "kind": "static",
        "version": 1,
        "options": {"weights": {"segmentation": 0.75, "depth": 1.125, "normals": 1.125}},
    }
    assert trained.spec["training"] == cells["tiny/segnet_split/dwa/trial1"].spec["training"]


def test_frozen_weights_of_a_run_that_diverged_diverge(cells) -> None:
    finish(cells["tiny/segnet_split/dwa/trial1"], "diverged")
    with pytest.raises(derived.NothingToTrainError, match="no mean weights of segnet_split/dwa/trial1: NaN"):
        derived.resolved(cells[FROZEN])


def test_a_final_run_of_another_setting_than_todays_is_noticed(cells) -> None:
    select(cells)
    final = cells[FINAL]
    finish(final)
    manifest = Manifest.read(final.manifest)
    facts = {**manifest.facts, **derived.facts(final, derived.resolved(final))}
    write(final.folder, final.spec, {"history.csv": final.folder / "history.csv"}, facts, manifest.provenance)
    assert status.state(final).name == "done"
    other = {**final.spec["training"]["optimizer"], "learning_rate": 0.5}
    folder = final.needs.parent
    rows = json.loads((folder / derived.SELECTION).read_text())
    rows["rows"]["segnet_split/dwa"]["optimizer"] = other
    write_text(folder / derived.SELECTION, json.dumps(rows))
    write(folder, summaries.selection_spec(load(), "tiny"), {derived.SELECTION: folder / derived.SELECTION})
    found = status.state(final)
    assert found.name == "done, other setting"
    assert f"`mtlbench train --again {FINAL}`" in found.detail
    with pytest.raises(verify.VerificationError, match="dwa/seed0: made with another setting than the selection gives"):
        verify.verify(load(), "tiny", say=lambda text: None)


def test_beyond_a_rung_a_trial_goes_on_or_is_what_it_was(search) -> None:
    search("      frozen: {of: dwa}\n", "")
    search("      epochs: 2\n", "      epochs: 4\n      rungs: [{epochs: 1, keep: 2}, {epochs: 2, keep: 1}]\n")
    cells = {cell.path.removeprefix("tiny/segnet_split/dwa/"): cell for cell in grid.every_cell(load(), "tiny")}
    with pytest.raises(DataError, match=r"trial0_rung2: .* `mtlbench select tiny --rung 1` first"):
        derived.resolved(cells["trial0_rung2"])
    keep(1, [2, 0])
    trained = derived.resolved(cells["trial0_rung2"])
    assert (trained.recipe.stop_after, trained.whole.key) == (2, cells["trial0_rung1"].whole.key)
    with pytest.raises(DataError, match=r"trial1_rung2: it ended with .* `mtlbench train tiny/.*/trial1_rung1` first"):
        derived.resolved(cells["trial1_rung2"])
    finish(cells["trial1_rung1"], "stopped")
    stopped = derived.resolved(cells["trial1_rung2"])
    assert stopped.key == cells["trial1_rung1"].key
    finish_with(cells["trial1_rung2"], stopped)
    keep(2, [0])
    assert derived.resolved(cells["trial0"]) == replace(cells["trial0"], spec=trained.whole.spec,
                                                        key=trained.whole.key, source=None)  # fmt: skip
    assert derived.resolved(cells["trial1"]).key == cells["trial1_rung1"].key, "also two rungs later"
    assert status.state(cells["trial1_rung2"]).name == "stopped early"
    keep(1, [2, 1])
    found = status.state(cells["trial1_rung2"])
    assert found.name == "stopped early, other setting"
    assert "than the choice at rung 1 gives today" in found.detail
    said: list[str] = []
    prune.prune(load(), said.append, dry_run=True)
    assert said == []
    search("rungs: [{epochs: 1, keep: 2}, {epochs: 2, keep: 1}]", "rungs: [{epochs: 1, keep: 2}]")
    prune.prune(load(), said.append, dry_run=True)
    assert "would remove results/selection/tiny.rung2" in said
    assert "would remove results/selection/tiny.rung1" not in said


def keep(rung: int, numbers: list[int]) -> None:
    """A rung at which these trials of dwa went on."""
    path = summaries.selection_manifest(load(), "tiny", rung)
    assert path is not None
    write_text(path.parent / derived.SELECTION, json.dumps({"rows": {"segnet_split/dwa": {"kept": numbers}}}))
    spec = summaries.selection_spec(load(), "tiny", rung)
    write(path.parent, spec, {derived.SELECTION: path.parent / derived.SELECTION})


def finish_with(cell: grid.Cell, trained: grid.Cell) -> None:
    """A finished cell that holds what was trained for it."""
    facts = {**finish(trained, "stopped").facts, **derived.facts(cell, trained)}
    finish(cell, "stopped")
    write(cell.folder, cell.spec, {"history.csv": cell.folder / "history.csv"}, facts)
