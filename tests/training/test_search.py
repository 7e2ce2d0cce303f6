"""A whole search in one process: trials, the choice, final runs, the tables; stopped and continued."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from mtlbench import pipeline, reproduce, verify
from mtlbench.plan import grid, places, prepared
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
        if group[0].stage == 2:
            pipeline.select(params, "tiny")
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
