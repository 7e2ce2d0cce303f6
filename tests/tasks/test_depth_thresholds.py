"""RMSE and the shares within a factor: values, and that they are asked for and enter nothing else."""

import numpy as np
import pytest
import torch

from mtlbench import pipeline
from mtlbench.metrics.delta_m import DEFINITIONS, metric_weights
from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.report.rows.collect import report_input
from mtlbench.report.rows.grid import load_grid
from mtlbench.runs.dataset import DatasetFacts
from mtlbench.runs.manifest import read_cell
from mtlbench.system.errors import ParamsError
from mtlbench.system.files import read_json
from mtlbench.tasks import totals
from mtlbench.tasks.depth import Depth
from mtlbench.training.cell import run_cell

NEW = ["rmse", "delta_1", "delta_2", "delta_3"]
TASKS = "tasks: [segmentation, depth, normals]"


def test_they_are_those_of_all_pixels_at_once_whatever_the_images() -> None:
    random = np.random.default_rng(0)
    target = np.where(random.random((5, 1, 9, 7)) < 0.2, 0, random.uniform(0.5, 6, (5, 1, 9, 7))).astype(np.float16)
    prediction = (target + random.normal(0, 1.5, target.shape)).astype(np.float32)
    task = Depth(thresholds=True)
    found = task.reduce(totals(task.statistics(torch.from_numpy(prediction), torch.from_numpy(target))))
    valid = target != 0
    p, t = prediction[valid].astype(np.float64), target[valid].astype(np.float64)
    with np.errstate(divide="ignore"):
        factor = np.where(p > 0, np.maximum(p / t, t / p), np.inf)
    assert (p < 0).any(), "a prediction that is no depth counts as wrong"
    wanted = [np.sqrt(((p - t) ** 2).mean()), *((factor < 1.25**k).mean() for k in (1, 2, 3))]
    np.testing.assert_allclose([found[name] for name in NEW], wanted, rtol=1e-12)
    several = [
        task.statistics(torch.from_numpy(prediction[i:j]), torch.from_numpy(target[i:j])) for i, j in [(0, 2), (2, 5)]
    ]
    again = task.reduce({name: sum(part[name].sum(0) for part in several).numpy() for name in several[0]})
    np.testing.assert_allclose(again["rmse"], found["rmse"], rtol=1e-14)


def test_a_prediction_without_a_value_is_within_no_factor() -> None:
    task = Depth(thresholds=True)
    found = task.statistics(torch.full((1, 1, 2, 2), torch.nan), torch.ones(1, 1, 2, 2))
    assert found["within"].tolist() == [[0, 0, 0]]


def test_they_enter_no_delta() -> None:
    metrics = {"depth": Depth(thresholds=True).metrics}
    for definition in DEFINITIONS:
        assert metric_weights(metrics, definition) == metric_weights({"depth": Depth().metrics}, definition)
    assert [metric.name for metric in metrics["depth"] if metric.secondary] == NEW


def test_only_cells_with_depth_get_another_key(project, edit) -> None:
    before = {cell.path: cell.key for cell in grid.cells(load(), "tiny")}
    edit(TASKS, f"{TASKS}\n    task_options: {{depth: {{thresholds: true}}}}")
    after = {cell.path: cell.key for cell in grid.cells(load(), "tiny")}
    same = {path for path in before if before[path] == after[path]}
    assert same == {path for path in before if "only_segmentation" in path or "only_normals" in path}
    assert grid.cell(load(), "tiny/segnet_split/dwa/seed0").spec["task_options"] == {"depth": {"thresholds": True}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("{dept: {thresholds: true}}", "'dept' is not one of the experiment's tasks. Did you mean 'depth'?"),
        ("{depth: {threshold: true}}", "depth.threshold: unknown key. Did you mean 'thresholds'?"),
        ("{depth: {near: soon}}", "task_options.depth.near: input should be a valid number"),
    ],
)
def test_a_wrong_option_is_named_before_anything_runs(project, edit, options: str, message: str) -> None:
    edit(TASKS, f"{TASKS}\n    task_options: {options}")
    with pytest.raises(ParamsError, match=message.replace(".", r"\.").replace("?", r"\?").replace("^", r"\^")):
        grid.cells(load(), "tiny")


def test_a_report_has_their_columns_and_the_same_delta(project, edit) -> None:
    edit("      dwa: {temperature: 2.0}\n", "")
    edit("epochs: 3", "epochs: 2")
    pipeline.prepare(load(), "rooms")
    plain = _grid()
    edit(TASKS, f"{TASKS}\n    task_options: {{depth: {{thresholds: true}}}}")
    more = _grid()
    row, other = plain.rows[-1], more.rows[-1]
    assert [c.metric.name for c in more.columns if c not in plain.columns] == NEW
    assert more.counted == plain.columns
    for name, values in plain.per_seed(row).items():
        np.testing.assert_array_equal(more.per_seed(other)[name], values, err_msg=name)
    assert set(NEW) < set(more.input.constant["depth"])
    assert all(np.isfinite(more.per_seed(other)[f"depth_{name}"]).all() for name in NEW)
    cell = grid.cell(load(), "tiny/segnet_split/equal/seed0")
    assert set(NEW) < set(read_json(cell.folder / "metrics.json")["reported"]["depth"])
    assert DatasetFacts.of_cell(read_cell(cell)).tasks["depth"] == {"thresholds": True}


def _grid():
    for cell in grid.cells(load(), "tiny"):
        assert run_cell(cell, load().runtime) == "complete"
    return load_grid(report_input(load(), "tiny", partial=False))
