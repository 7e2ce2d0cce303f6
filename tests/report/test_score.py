"""The score S of the Visual Decathlon in a grid (a whole report with it: tests/training/test_domains.py)."""

from dataclasses import replace

import pytest

from mtlbench.report.rows.cells import LoadedCell
from mtlbench.report.rows.grid import Grid, Row
from mtlbench.report.rows.inputs import CellInput, ReportInput
from mtlbench.report.rows.score import scores
from mtlbench.tasks import make_tasks


def test_the_score_s_is_relative_to_the_grid_s_own_single_networks_unless_errors_are_given() -> None:
    task = {"kind": "classification", "classes": 3, "class_names": ["x", "y", "z"]}
    runs = {("one", 0): {"a": 0.8}, ("two", 0): {"b": 0.6}, ("one", 1): {"a": 0.7}, ("two", 1): {"b": 0.6}}
    single = [made("single", f"only_{t}", seed, {t: runs[n, seed][t]}) for seed in (0, 1)
              for n, t in (("one", "a"), ("two", "b"))]  # fmt: skip
    many = [made("many", "equal", seed, {"a": 0.875, "b": 0.6}) for seed in (0, 1)]
    given = ReportInput("t", "T", "d", (8, 8), {}, {}, {"a": task, "b": task}, (), baseline="single")
    rows = (Row("single", "", tuple(single)), Row("many", "equal", tuple(many)))

    def of(given: ReportInput) -> Grid:
        return Grid(given, make_tasks(given.tasks), rows)

    # E_max = 2 x (0.25, 0.4): the mean over seeds, so the first seed's a has (1 - 0.2 / 0.5)^2.
    assert scores(of(given), rows[0]).tolist() == pytest.approx([360 + 250, 160 + 250])
    assert scores(of(given), rows[1]).tolist() == pytest.approx([562.5 + 250] * 2)
    stated = replace(given, baseline_errors={"a": 0.125, "b": 0.8})
    assert scores(of(stated), rows[1]).tolist() == pytest.approx([250 + 562.5] * 2)
    for none in (replace(given, baseline=None), replace(given, tasks={"a": task}), replace(given, tasks={
        "a": task, "b": {"kind": "depth"}})):  # fmt: skip
        assert scores(of(none), rows[1]).tolist() == []


def made(model: str, weighting: str, seed: int, top1: dict[str, float]) -> LoadedCell:
    cell = CellInput("", model, weighting, seed, tuple(top1), None)
    metrics = {"reported": {task: {"top1": value} for task, value in top1.items()}}
    return LoadedCell(cell, "", metrics=metrics)
