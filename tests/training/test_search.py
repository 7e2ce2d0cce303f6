"""A whole search in one process: trials, the choice, final runs, the tables; stopped and continued."""

import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from mtlbench import pipeline, reproduce, verify
from mtlbench.plan import grid, keys, places, prepared
from mtlbench.plan.params import Params, load
from mtlbench.runs import status
from mtlbench.runs.manifest import Manifest, find, read_cell, write
from mtlbench.system.files import read_json, write_json
from mtlbench.training.cell import run_cell

pytestmark = pytest.mark.slow


def train(params: Params) -> None:
    """Everything up to the tables, in the order in which the workflow would."""
    if not prepared.dataset(params, "rooms").manifest.exists():
        pipeline.prepare(params, "rooms")
    for group in grid.stages(params, "tiny"):
        if (needed := group[0].needs) and needed.is_relative_to(places.SELECTIONS):
            pipeline.select(params, "tiny", rung=getattr(group[0].source, "rung", None))
        for cell in group:
            run_cell(cell, params.runtime, record_divergence=True)
    pipeline.aggregate(params, "tiny")


def files(folder: Path) -> dict[str, bytes]:
    """The bytes of all results but the manifests of cells, which hold times."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not (path.name.startswith("manifest") and "cells" in path.parts)
    }


@pytest.fixture
def two_trials(search) -> None:
    search("trials: 3", "trials: 2")
    search("      static: {}\n", "")


def test_a_search_from_nothing_to_the_tables(two_trials, capsys) -> None:
    params = load()
    train(params)
    chosen = read_json(places.selection("tiny") / "selection.json")["rows"]
    for cell in grid.cells(params, "tiny"):
        manifest = read_cell(cell)
        row = chosen[f"{cell.model}/{cell.weighting}"]
        assert manifest.recipe.training.optimizer.model_dump() == row["optimizer"]
        assert manifest.recipe.weighting.options == row["weighting"]["options"]
        assert manifest.recipe.training.epochs == 3
        assert row["trials"][row["chosen"]]["score"] == max(one["score"] for one in row["trials"])
    verify.verify(params, "tiny", say=print, deep=1)
    assert {status.state(cell).name for cell in grid.every_cell(params, "tiny")} == {"done"}
    for path in ("dwa/trial1", "frozen/trial0", "dwa/seed0", "frozen/seed0"):
        reproduce.reproduce(grid.cell(params, f"tiny/segnet_split/{path}"), params.runtime, print)
        assert "all 5 outputs have the same bytes" in capsys.readouterr().out
    check_that_an_edited_selection_is_refused(params)


def check_that_an_edited_selection_is_refused(params: Params) -> None:
    """Also where its digest was edited with it: the trials tell what they give."""
    path = places.selection("tiny") / "selection.json"
    manifest, before = find(path.parent), path.read_bytes()
    assert manifest is not None
    found = read_json(path)
    row = found["rows"]["segnet_split/dwa"]
    row["chosen"] = 1 - row["chosen"]
    write_json(path, found)
    with pytest.raises(verify.VerificationError, match=r"selection\.json: its content changed.*`mtlbench select tiny`"):
        verify.verify(params, "tiny", say=print)
    write(path.parent, Manifest.read(manifest).spec, {path.name: path})
    with pytest.raises(
        verify.VerificationError, match=r"selection\.json: not what its trials give; run `mtlbench sele"
    ):
        verify.verify(params, "tiny", say=print)
    path.write_bytes(before)
    write(path.parent, Manifest.read(manifest).spec, {path.name: path})
    verify.verify(params, "tiny", say=print)


def test_one_more_trial_trains_one_cell_for_each_row_and_only_other_choices(two_trials, search) -> None:
    train(load())
    before = {cell.path: read_cell(cell) for cell in grid.cells(load(), "tiny")}
    stored = {path.name for path in places.store().iterdir()}
    search("trials: 2", "trials: 3")
    train(load())
    added = {path.name for path in places.store().iterdir()} - stored
    trials = {cell.key for cell in grid.every_cell(load(), "tiny") if cell.trial == 2 and cell.source is None}
    assert trials <= added
    for cell in grid.cells(load(), "tiny"):
        now, then = read_cell(cell).facts["trained_as"], before[cell.path].facts["trained_as"]
        assert (now["key"] in added) == (now["key"] != then["key"]), "the same choice is not trained again"


def test_a_search_that_was_stopped_continues_to_the_same_bytes(two_trials, monkeypatch) -> None:
    """Everything outside the store is lost after half of the cells, as after a kill and a fresh checkout."""
    train(load())
    whole = files(places.RESULTS)
    keys = sorted(path.name for path in places.store().iterdir() if not path.name.startswith("."))
    for folder in (places.RESULTS, places.CHECKPOINTS, *(places.store() / key for key in keys[::2])):
        shutil.rmtree(folder)
    train(load())
    assert files(places.RESULTS) == whole


@pytest.fixture
def climbing(search) -> Params:
    """Two rows of three trials of four epochs, of which two go on after one epoch and one after two."""
    search("      static: {}\n      frozen: {of: dwa}\n", "")
    search("      equal: {}\n", "")
    search("tasks: [segmentation, depth, normals]", "tasks: [segmentation, depth]")
    rungs = "      rungs: [{epochs: 1, keep: 2}, {epochs: 2, keep: 1}]\n"
    search("      epochs: 2\n", f"      epochs: 4\n{rungs}")
    search("schedule: {name: constant}", "schedule: {name: cosine}")
    search("      space:\n", "      space:\n        schedule: {values: [{name: cosine}, {name: constant}]}\n")
    return load()


def test_rungs_stop_trials_and_change_no_number_of_the_others(climbing: Params, search, capsys) -> None:
    train(climbing)
    ends = Counter()
    for cell in grid.trials(climbing, "tiny"):
        manifest, epochs = read_cell(cell), len((cell.folder / "history.csv").read_text().splitlines()) - 1
        ends[f"{cell.model}/{cell.weighting}", manifest.status, epochs] += 1
        waiting = list(places.work_folder(manifest_key(manifest)).glob("state-*"))
        assert waiting == [], "nothing is kept of a trial that has ended"
        assert (cell.checkpoint_folder / "model.safetensors").exists() == (manifest.status == "complete")
        if cell.weighting == "dwa":  # trained in one go, elsewhere, on the schedule of the whole trial
            reproduce.reproduce(cell, climbing.runtime, print)
            assert "have the same bytes" in capsys.readouterr().out
    rows = ("segnet_single/only_segmentation", "segnet_single/only_depth", "segnet_split/dwa")
    outcomes = (("stopped", 1), ("stopped", 2), ("complete", 4))
    assert ends == Counter((row, *outcome) for row in rows for outcome in outcomes)
    verify.verify(climbing, "tiny", say=print, deep=1)
    check_the_selection(climbing)
    before = {cell.path: files(cell.folder) for cell in grid.trials(climbing, "tiny")}
    stored = {path.name for path in places.store().iterdir()}
    search("      rungs: [{epochs: 1, keep: 2}, {epochs: 2, keep: 1}]\n", "")
    params = load()
    train(params)
    trained = {path.name for path in places.store().iterdir()} - stored
    for cell in grid.trials(params, "tiny"):
        if (cell.key in trained) == ("metrics.json" in before[cell.path] and "per_image.npz" in before[cell.path]):
            pytest.fail(f"{cell.path}: only trials that were stopped are trained to their ends")
        history = (cell.folder / "history.csv").read_bytes()
        assert history.startswith(before[cell.path]["history.csv"]), "a stopped trial is a beginning of the whole one"


def manifest_key(manifest: Manifest) -> str:
    """The key of the whole trial that a manifest is of."""
    return keys.key({name: value for name, value in manifest.trained_spec.items() if name != "stop_after"})


def check_the_selection(params: Params) -> None:
    """Stopped trials are in it with their numbers, one that ran to the end is chosen; an edited rung is refused."""
    found = read_json(places.selection("tiny") / "selection.json")
    assert (found["epochs"], found["rungs"]) == (4, [{"epochs": 1, "keep": 2}, {"epochs": 2, "keep": 1}])
    for row in found["rows"].values():
        assert sorted(one.get("stopped_after", 4) for one in row["trials"]) == [1, 2, 4]
        assert "stopped_after" not in row["trials"][row["chosen"]]
        assert all(one["score"] is not None for one in row["trials"])
    for cell in grid.cells(params, "tiny"):
        row = found["rows"][f"{cell.model}/{cell.weighting}"]
        assert read_cell(cell).recipe.training.schedule.model_dump() == row["schedule"]
        assert row["schedule"] == row["trials"][row["chosen"]]["schedule"]
    path = places.selection("tiny", 1) / "selection.json"
    before = path.read_bytes()
    path.write_bytes(before.replace(b'"kept"', b'"keeps"', 1))
    with pytest.raises(
        verify.VerificationError, match=r"rung1/selection\.json: its content.*`mtlbench select tiny --r"
    ):
        verify.verify(params, "tiny", say=print)
    path.write_bytes(before)


def test_held_out_numbers_are_in_the_summary(two_trials, search) -> None:
    search("protocol: {name: paper, last_epochs: 2}", "protocol: {name: held_out, share: 0.34}")
    train(load())
    summary = pd.read_csv(places.summary("tiny") / "summary.csv")
    held_out = summary[(summary["rule"] == "held_out") & (summary["metric"] == "abs_error")]
    assert len(held_out) == 4
    cell = grid.cell(load(), "tiny/segnet_split/dwa/seed0")
    history = pd.read_csv(cell.folder / "history.csv")
    best = read_json(cell.folder / "metrics.json")["best_epoch"]
    found = held_out[held_out["weighting"] == "dwa"]["value"].item()
    assert found == pytest.approx(history.loc[best, "val_depth_abs_error"], rel=1e-11)
