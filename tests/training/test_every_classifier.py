"""Every network that classifies, trained on the rendered domains."""

from pathlib import Path

import pytest

from mtlbench import pipeline
from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.plan.registry import entries
from mtlbench.system.errors import ParamsError
from mtlbench.system.files import read_json
from mtlbench.training.cell import run_cell

PARAMS = """
run: [tiny]
runtime: {device: cpu, threads: 1, workers: 1, checkpoint_seconds: 0, compile: false, data: auto}
datasets:
  shapes: {kind: shapes, height: 20, width: 24, train: 6, test: 4, seed: 1}
experiments:
  tiny:
    title: Tiny
    dataset: shapes
    tasks: [digits, solids]
    protocol: {name: paper, last_epochs: 1}
    baseline: null
    models:
      m: {kind: NAME, OPTIONS}
    weightings:
      equal: {}
    seeds: [0]
    training:
      epochs: 2
      batch_size: 4
      optimizer: {name: sgd, learning_rate: 0.01, weight_decay: 0.0}
      schedule: {name: constant}
      drop_last: true
      precision: float32
      augmentation: null
      domains: in_turn
    resources: {gpu: 0, memory_mb: 1000, minutes: 5}
"""
FOUND = {name: found for name, found in entries("models").items() if found.constants.get("predicts") == "classes"}
SHARED = [name for name, found in FOUND.items() if found.constants.get("shared_image")]


def write(project: Path, name: str) -> None:
    """A project with this network in its smallest form."""
    options = "width: 0.0625" if "width" in FOUND[name].options.model_fields else "depth: 18"
    (project / "params.yaml").write_text(PARAMS.replace("NAME", name).replace("OPTIONS", options))


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "wrn_mtan" else pytest.mark.slow) for name in FOUND if name not in SHARED],
)
def test_every_classifier_trains_on_domains_in_turn(project: Path, name: str) -> None:
    write(project, name)
    pipeline.prepare(load(), "shapes")
    alone = FOUND[name].constants.get("single_task")
    cell = grid.cell(load(), f"tiny/m/{'only_solids' if alone else 'equal'}/seed0")
    assert run_cell(cell, load().runtime) == "complete"
    reported = read_json(cell.folder / "metrics.json")["reported"]
    assert {task: 0 <= values["top1"] <= 1 for task, values in reported.items()} == dict.fromkeys(cell.tasks, True)


@pytest.mark.parametrize("name", SHARED)
def test_networks_that_mix_all_tasks_need_one_image(project: Path, name: str) -> None:
    write(project, name)
    with pytest.raises(ParamsError, match=f"'{name}' computes all tasks on one image"):
        grid.cells(load(), "tiny")
