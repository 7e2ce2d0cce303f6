"""LDC-MTL with its router in whole runs: every kind of network, killed runs, and what is told without it."""

import csv
from pathlib import Path

import pytest
import safetensors

from mtlbench import pipeline
from mtlbench.models._cost import blueprint, forward_flops, parameter_count
from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.plan.registry import entries
from mtlbench.runs.manifest import Manifest
from mtlbench.training.cell import run_cell

from .conftest import contents, forget, kill_at
from .test_every_classifier import PARAMS

ROUTED = "tiny/segnet_split/routed/seed0"


def rows(cell: grid.Cell) -> list[dict[str, float]]:
    """The epochs of its history."""
    with open(cell.folder / "history.csv", encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.fixture
def routed(project: Path, edit) -> None:
    edit("dwa: {temperature: 2.0}", "routed: {kind: ldc_mtl, router: true}")
    pipeline.prepare(load(), "rooms")


def test_a_killed_run_continues_to_the_same_bytes_and_tells_no_router(routed) -> None:
    cell = grid.cell(load(), ROUTED)
    run_cell(cell, load().runtime)
    expected = contents(cell)
    plain = blueprint("segnet_split", {"segmentation": 13, "depth": 1, "normals": 3}, {"width": 0.0625})
    facts = Manifest.read(cell.manifest).facts
    assert (facts["parameters"], facts["flops"]) == (parameter_count(plain), forward_flops(plain, (32, 32)))
    with safetensors.safe_open(cell.checkpoint_folder / "model.safetensors", "pt") as file:
        assert set(file.keys()) == set(plain.state_dict())
    shares = [[row[f"share_{task}"] for task in cell.tasks] for row in rows(cell)]
    assert all(0.2 <= share <= 0.8 for row in shares for share in row)
    assert shares[0] != shares[-1], "the router learns"
    forget(cell)
    kill_at("mtlbench.training.loop", "", "train_step", 5, ROUTED)
    assert not cell.manifest.exists()
    run_cell(cell, load().runtime)
    assert contents(cell) == expected


@pytest.mark.slow
@pytest.mark.parametrize("model", ["segnet_mtan: {width: 0.0625}", "pad_net: {width: 0.0625, backbone: hrnet18s}"])
def test_it_trains_networks_with_features_of_each_task(routed, edit, model: str) -> None:
    edit("segnet_split: {width: 0.0625}", model)
    cell = grid.cell(load(), f"tiny/{model.partition(':')[0]}/routed/seed0")
    assert run_cell(cell, load().runtime) == "complete"
    assert len(rows(cell)) == 3


def test_it_trains_a_network_that_classifies_domains_together(project: Path) -> None:
    text = PARAMS.replace("NAME", "wrn_split").replace("OPTIONS", "width: 0.0625")
    text = text.replace("equal: {}", "ldc_mtl: {router: true}").replace("in_turn", "together")
    (project / "params.yaml").write_text(text)
    pipeline.prepare(load(), "shapes")
    cell = grid.cell(load(), "tiny/m/ldc_mtl/seed0")
    assert run_cell(cell, load().runtime) == "complete"
    assert {name for name in rows(cell)[0] if name.startswith("share_")} == {"share_digits", "share_solids"}


def test_without_the_router_the_option_is_in_no_key(project: Path, edit) -> None:
    edit("dwa: {temperature: 2.0}", "plain: {kind: ldc_mtl}\n      off: {kind: ldc_mtl, router: false}\n"
         "      routed: {kind: ldc_mtl, router: true}")  # fmt: skip
    plain, off, on = (grid.cell(load(), f"tiny/segnet_split/{one}/seed0") for one in ("plain", "off", "routed"))
    assert plain.spec["weighting"] == {"kind": "ldc_mtl", "version": 1, "options": {"penalty": 0.1}}
    assert plain.key == off.key
    assert on.spec["weighting"]["options"] == {"penalty": 0.1, "router": True}
    assert entries("weightings")["ldc_mtl"].title(on.recipe.weighting.options) == "LDC-MTL"
    assert entries("weightings")["ldc_mtl"].title(off.recipe.weighting.options) == "LDC-MTL (no router)"
