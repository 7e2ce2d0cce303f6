"""Rows: joined over seeds and tasks, in order, and whole in the face of missing or damaged files."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mtlbench.report.rows.grid import DELTA_COLUMNS, load_grid
from mtlbench.report.rows.inputs import ReportInput
from mtlbench.runs.manifest import Output
from mtlbench.system.files import read_json, write_json


def numbers(folder: Path, task: str, metric: str) -> float:
    return json.loads((folder / "metrics.json").read_text())["reported"][task][metric]


def test_single_task_cells_join_in_the_first_row(report: ReportInput) -> None:
    grid = load_grid(report)
    assert [row.label for row in grid.rows] == [
        "segnet_single · single-task", "segnet_mtan · equal", "segnet_mtan · dwa",
        "segnet_split · equal", "segnet_split · dwa",
    ]  # fmt: skip
    row = grid.rows[0]
    assert row.seeds == [0, 1]
    assert len(row.cells) == 6
    for task, metric in (("segmentation", "miou"), ("depth", "abs_error"), ("normals", "angle_median")):
        folders = [c.folder for c in report.cells if c.weighting == f"only_{task}"]
        assert grid.reported[row.slug][f"{task}_{metric}"].tolist() == [numbers(f, task, metric) for f in folders]


def test_the_baseline_comes_first_wherever_it_is_given(report: ReportInput) -> None:
    grid = load_grid(replace(report, cells=tuple(reversed(report.cells))))
    assert grid.rows[0].label == "segnet_single · single-task"


def test_delta_m_of_the_baseline_is_zero_on_average(report: ReportInput) -> None:
    grid = load_grid(report)
    for column in DELTA_COLUMNS:
        values = grid.reported["segnet_single.single"][column.name]
        assert values.mean() == pytest.approx(0, abs=1e-9)
        assert values.std() > 0


def test_delta_m_by_hand(report: ReportInput) -> None:
    grid = load_grid(report)
    folders = {c.path: c.folder for c in report.cells}
    gains = []
    for column in grid.columns:
        task, metric = column.task, column.metric.name
        base = np.mean([numbers(folders[f"test/segnet_single/only_{task}/seed{s}"], task, metric) for s in (0, 1)])
        value = numbers(folders["test/segnet_split/dwa/seed1"], task, metric)
        gains.append((value - base) / base * (100 if column.metric.higher_is_better else -100))
    assert grid.reported["segnet_split.dwa"]["delta_m_flat"][1] == pytest.approx(np.mean(gains))


def test_a_seed_with_a_missing_task_does_not_count(report: ReportInput) -> None:
    cells = tuple(
        replace(c, folder=None, missing="not trained yet") if c.path.endswith("only_depth/seed1") else c
        for c in report.cells
    )
    row = load_grid(replace(report, cells=cells)).rows[0]
    assert row.seeds == [0]
    assert [cell.missing for cell in row.missing] == ["not trained yet"]


def damage(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("metrics.json", b"{", "metrics.json: its content changed"),
        ("metrics.json", b'{"last": {}}', "metrics.json: its content changed"),
        ("forged metrics.json", b"{", "metrics.json: damaged (JSONDecodeError"),
        ("forged metrics.json", b'{"last": {}}', "has no 'reported'"),
        ("forged metrics.json", b'{"reported": {"segmentation": {"miou": "high"}}}', "unreadable result (ValueError"),
        ("manifest", b"", ".json: damaged (JSONDecodeError"),
    ],
)
def test_damaged_files_become_reasons(make: Callable, name: str, content: bytes, reason: str) -> None:
    report = make(models=("segnet_mtan",), weightings=("equal",), seeds=(0,), images=3)
    folder = report.cells[-1].folder
    manifest = next(folder.glob("manifest.*"))
    damage(folder, manifest.name if name == "manifest" else name.removeprefix("forged "), content)
    if name.startswith("forged"):  # with a manifest that agrees
        record = read_json(manifest)
        record["outputs"]["metrics.json"] = vars(Output.of(folder / "metrics.json"))
        write_json(manifest, record)
    row = load_grid(report).rows[-1]
    assert row.seeds == []
    assert reason in row.missing[0].missing


def test_other_missing_results_have_their_reasons(make: Callable) -> None:
    report = make(models=("segnet_mtan",), weightings=("equal",), seeds=(0,), images=3)
    *others, cell = report.cells
    assert (
        "other settings"
        in load_grid(replace(report, cells=(*others, replace(cell, key="0" * 16)))).rows[-1].missing[0].missing
    )
    path = next(cell.folder.glob("manifest.*"))
    manifest = json.loads(path.read_text())
    stray = path.with_name("manifest.0000000000000000.json")  # another key's, copied into the folder
    stray.write_text(json.dumps({**manifest, "key": "0" * 16}))
    own = replace(cell, key=manifest["key"])
    assert load_grid(replace(report, cells=(*others, own))).rows[-1].seeds == [0]
    stray.unlink()
    path.write_text(json.dumps({**manifest, "status": "diverged", "reason": "NaN in epoch 3"}))
    assert load_grid(report).rows[-1].missing[0].missing == "diverged: NaN in epoch 3"
    path.unlink()
    assert "not finished" in load_grid(report).rows[-1].missing[0].missing


def test_null_is_not_a_number(make: Callable) -> None:
    report = make(models=("segnet_mtan",), weightings=("equal",), seeds=(0,), images=3)
    path = report.cells[-1].folder / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["reported"]["depth"]["abs_error"] = None
    path.write_text(json.dumps(metrics))
    values = load_grid(report).reported["segnet_mtan.equal"]
    assert np.isnan(values["depth_abs_error"]).all()
    assert np.isnan(values["delta_m_flat"]).all()
    assert np.isfinite(values["segmentation_miou"]).all()
