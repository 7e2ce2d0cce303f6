"""Every network that classifies, trained on the rendered domains."""

from pathlib import Path

import pytest

from mtlbench import pipeline
from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.plan.registry import entries
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


def write(project: Path, name: str) -> None:
    """A project with this network in its smallest form."""
    options = "width: 0.0625" if "width" in FOUND[name].options.model_fields else "depth: 18"
    (project / "params.yaml").write_text(PARAMS.replace("NAME", name).replace("OPTIONS", options))


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "wrn_mtan" else pytest.mark.slow) for name in FOUND],
)
def test_every_classifier_trains_on_domains_in_turn(project: Path, name: str) -> None:
    write(project, name)
    pipeline.prepare(load(), "shapes")
    alone = FOUND[name].constants.get("single_task")
    cell = grid.cell(load(), f"tiny/m/{'only_solids' if alone else 'equal'}/seed0")
    assert run_cell(cell, load().runtime) == "complete"
    reported = read_json(cell.folder / "metrics.json")["reported"]
    assert {task: 0 <= values["top1"] <= 1 for task, values in reported.items()} == dict.fromkeys(cell.tasks, True)


def test_the_demo_of_domains_trains_every_network_that_classifies(repository: Path) -> None:
    params = load(repository / "params.yaml")
    cells = grid.cells(params, "domains_demo")
    assert {cell.recipe.model.kind for cell in cells} == set(FOUND)
    single = [cell for cell in cells if cell.model == params.experiments["domains_demo"].baseline]
    assert [cell.tasks for cell in single] == [("digits",), ("mnist",), ("faces",), ("textures",)]


def test_the_decathlon_has_the_settings_of_the_paper(repository: Path) -> None:
    cells = grid.cells(load(repository / "params.yaml"), "decathlon")
    assert {cell.recipe.model.kind for cell in cells} == {"wrn_single", "wrn_split", "wrn_mtan"}
    cell = next(cell for cell in cells if cell.model == "wrn_mtan")
    training = cell.recipe.training
    assert cell.tasks[0] == "imagenet12"
    assert len(cell.tasks) == 10
    assert (training.batch_size, training.first_epochs, training.domains) == (128, 300, "in_turn")
    assert training.second_phase.model_dump() == {"epochs": 100, "learning_rate": 0.01, "without": ["imagenet12"]}
    alone = next(cell for cell in cells if cell.tasks == ("imagenet12",))
    assert (alone.recipe.training.epochs, alone.recipe.training.second_phase) == (300, None)
    assert training.optimizer.model_dump() == {
        "name": "sgd", "learning_rate": 0.1, "weight_decay": 5e-5, "momentum": 0.9, "nesterov": True
    }  # fmt: skip
    assert training.schedule.model_dump() == {"name": "step", "every": 50, "factor": 0.5}


def test_the_course_s_experiment_is_the_course_s(repository: Path) -> None:
    cells = grid.cells(load(repository / "params.yaml"), "course")
    assert {cell.model for cell in cells} == {
        "segnet_single", "segnet_split", "segnet_split_wide", "segnet_split_deep", "segnet_dense",
        "segnet_cross_stitch", "segnet_mtan",
    }  # fmt: skip
    assert {cell.weighting for cell in cells} == {"dwa", "only_segmentation", "only_inverse_depth"}
    training = cells[0].recipe.training
    assert (training.batch_size, training.epochs, training.augmentation) == (16, 100, None)
    assert (training.optimizer.name, training.optimizer.learning_rate) == ("adam", 1e-4)
    assert load(repository / "params.yaml").datasets["cityscapes19"]["classes"] == 19
