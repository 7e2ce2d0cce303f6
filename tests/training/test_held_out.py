"""Selection on held-out images never sees the test set."""

import csv

import numpy as np
import pytest
from safetensors.torch import load_file, save

from mtlbench import pipeline
from mtlbench.plan import grid, places
from mtlbench.plan.params import load
from mtlbench.system.files import read_json
from mtlbench.training.cell import run_cell

from .conftest import rewrite

CELL = "tiny/segnet_split/dwa/seed0"


@pytest.fixture
def held_out(project, edit):
    edit("protocol: {name: paper, last_epochs: 2}", "protocol: {name: held_out, share: 0.34}")
    pipeline.prepare(load(), "rooms")


def rows(cell: grid.Cell) -> list[dict[str, str]]:
    with open(cell.folder / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_test_set_is_evaluated_once_with_the_best_weights(held_out) -> None:
    cell = grid.cell(load(), CELL)
    run_cell(cell, load().runtime)
    found = read_json(cell.folder / "metrics.json")
    assert not any(name.startswith("test_") for name in rows(cell)[0])
    scores = [
        np.log(float(row["val_segmentation_miou"]))
        - np.log(float(row["val_depth_abs_error"]))
        - np.log(float(row["val_normals_angle_mean"]))
        for row in rows(cell)
    ]
    assert found["best_epoch"] == int(np.argmax(scores))
    assert found["reported"] == found["final"] == found["best_on_held_out"]
    assert "best_on_test" not in found


def test_the_test_images_do_not_reach_the_selection(held_out) -> None:
    cell = grid.cell(load(), CELL)
    run_cell(cell, load().runtime)

    def selected() -> tuple[bytes, bytes]:
        """History and weights; what the file says of its test metrics differs, of course."""
        return (cell.folder / "history.csv").read_bytes(), save(load_file(cell.checkpoint_folder / "model.safetensors"))

    before = selected()
    import shutil

    for folder in (places.RESULTS, places.CHECKPOINTS, places.WORK):
        shutil.rmtree(folder)
    rewrite(cell, "test/depth.npy", np.load(cell.dataset.folder / "test/depth.npy") * np.float16(3))
    run_cell(cell, load().runtime)
    assert selected() == before


def test_the_optimism_of_other_rules_can_be_recorded(held_out, edit) -> None:
    edit("share: 0.34}", "share: 0.34, record_test: true}")
    cell = grid.cell(load(), CELL)
    run_cell(cell, load().runtime)
    found = read_json(cell.folder / "metrics.json")
    assert {"last", "mean_last_10", "best_on_test", "best_on_held_out", "reported"} <= set(found)
    row = rows(cell)[found["best_epoch"]]
    assert found["reported"]["depth"]["abs_error"] == pytest.approx(float(row["test_depth_abs_error"]), rel=1e-6)


@pytest.mark.parametrize("share", ["", ", share: 0.5"])
def test_one_share_gives_every_row_the_same_images_and_its_manifest_counts_them(project, edit, share: str) -> None:
    edit("      equal: {}\n", "      equal: {}\n      auto_lambda: {held_out_share: 0.2}\n")
    edit("last_epochs: 2", f"last_epochs: 1{share}")
    edit("epochs: 3", "epochs: 1")
    pipeline.prepare(load(), "rooms")
    found = {}
    for row in ("segnet_single/only_depth", "segnet_split/equal", "segnet_split/auto_lambda"):
        cell = grid.cell(load(), f"tiny/{row}/seed0")
        run_cell(cell, load().runtime)
        found[row] = read_json(cell.manifest)["dataset"]["images"]
    looking = found.pop("segnet_split/auto_lambda")
    others = list(found.values())
    if share:
        assert others == [looking, looking]
        assert looking == {"train": 3, "held_out": 3, "test": 3}
    else:
        assert others == [{"train": 6, "held_out": 0, "test": 3}] * 2
        assert looking == {"train": 5, "held_out": 1, "test": 3}


def test_the_held_out_share_of_all_rows_changes_keys_only_where_it_is_set(project, edit) -> None:
    plain = grid.cell(load(), CELL)
    assert plain.spec["protocol"]["share"] is None
    edit("last_epochs: 2", "last_epochs: 2, share: 0.5")
    assert grid.cell(load(), CELL).key != plain.key
    edit("last_epochs: 2, share: 0.5", "last_epochs: 2, share: null")
    assert grid.cell(load(), CELL).key == plain.key
