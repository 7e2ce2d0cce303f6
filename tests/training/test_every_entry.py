"""Every weighting and every model that can be put in a grid trains, and continues to the same bytes."""

import math

import numpy as np
import pytest

from mtlbench import pipeline
from mtlbench.plan import grid, places
from mtlbench.plan.params import load
from mtlbench.plan.registry import entries
from mtlbench.runs.manifest import Manifest
from mtlbench.system.errors import ParamsError
from mtlbench.system.files import read_json
from mtlbench.training.cell import run_cell

DENSE = {name: found for name, found in entries("models").items() if found.constants.get("predicts") != "classes"}
MULTI_TASK = [name for name, found in DENSE.items() if not found.constants.get("single_task", False)]
SINGLE_TASK = [name for name in DENSE if name not in MULTI_TASK]


def small(name: str) -> str:
    """Options of a small network, as params.yaml has them."""
    known = DENSE[name].options.model_fields
    chosen = {"width": "0.0625", "backbone": "hrnet18s"} if "width" in known else {"depth": "18"}
    return ", ".join(f"{option}: {value}" for option, value in chosen.items() if option in known)


def train(model: str, weighting: str) -> dict:
    """Metrics and the last row of one cell of the tiny experiment."""
    pipeline.prepare(load(), "rooms")
    cell = grid.cell(load(), f"tiny/{model}/{weighting}/seed0")
    assert run_cell(cell, load().runtime) == "complete"
    header, *_, last = (cell.folder / "history.csv").read_text().splitlines()
    row = dict(zip(header.split(","), map(float, last.split(",")), strict=True))
    assert all(math.isfinite(row[f"train_loss_{task}"]) for task in cell.tasks)
    assert set(read_json(cell.folder / "metrics.json")["reported"]) == set(cell.tasks)
    return row


@pytest.mark.parametrize("name", entries("weightings"))
def test_every_weighting_trains(project, edit, name: str) -> None:
    edit("dwa: {temperature: 2.0}", f"w: {{kind: {name}}}")
    if entries("weightings")[name].constants.get("wants_reference"):
        edit("{name: paper, last_epochs: 2}", "{name: held_out, share: 0.34}")
        for task in ("segmentation", "depth", "normals"):
            train("segnet_single", f"only_{task}")
    row = train("segnet_split", "w")
    assert all(math.isfinite(row[f"weight_{task}"]) for task in ("segmentation", "depth", "normals"))
    if entries("weightings")[name].constants.get("needs_gradients"):
        assert row["grad_norm_depth"] > 0
        assert -1 <= row["cosine_segmentation_depth"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", MULTI_TASK)
def test_every_multi_task_model_trains_two_epochs(project, edit, name: str) -> None:
    edit("epochs: 3", "epochs: 2")
    edit("segnet_split: {width: 0.0625}", f"m: {{kind: {name}, {small(name)}}}")
    train("m", "equal")


@pytest.mark.slow
def test_a_tree_that_was_found_is_told_and_can_be_trained(project, edit) -> None:
    edit("epochs: 3", "epochs: 2")
    edit("segnet_split: {width: 0.0625}", "search: {kind: resnet_ltb, depth: 18}")
    train("search", "equal")
    found = Manifest.read(grid.cell(load(), "tiny/search/equal/seed0").manifest).facts["found"]
    assert {len(path) for path in found["branching"].values()} == {5}
    edit(
        "search: {kind: resnet_ltb, depth: 18}", f"m: {{kind: resnet_ltb, depth: 18, branching: {found['branching']}}}"
    )
    train("m", "equal")
    assert "found" not in Manifest.read(grid.cell(load(), "tiny/m/equal/seed0").manifest).facts


@pytest.mark.slow
@pytest.mark.parametrize("name", SINGLE_TASK)
def test_every_single_task_model_trains_two_epochs(project, edit, name: str) -> None:
    edit("epochs: 3", "epochs: 2")
    edit("segnet_split: {width: 0.0625}", f"m: {{kind: {name}, {small(name)}}}")
    train("m", "only_depth")


def test_a_batch_too_small_for_the_network_is_refused_before_training(project, edit) -> None:
    edit("segnet_split: {width: 0.0625}", "resnet_split: {depth: 18}")
    edit("train: 6", "train: 5")
    with pytest.raises(ParamsError, match=r"at least 2 images, but 5 training images in batches of 2 leave one of 1"):
        train("resnet_split", "equal")
    assert not list((project / places.RESUME).glob("*/state-*"))


def test_the_samples_of_a_network_with_attention_hold_its_masks(project, edit) -> None:
    edit("segnet_split: {width: 0.0625}", "segnet_mtan: {width: 0.0625}")
    train("segnet_mtan", "equal")
    with np.load(project / places.CELLS / "tiny/segnet_mtan/equal/seed0/samples.npz") as samples:
        masks = {name: samples[name] for name in samples.files if name.startswith("attention_")}
    assert len(masks) == 3 * 2 * 5  # tasks, encoder and decoder, levels
    assert all(mask.shape[0] == 3 and mask.dtype == np.float16 for mask in masks.values())
