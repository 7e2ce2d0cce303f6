"""The section on tuning: what the trials of a search say."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.fronts import fixed_row, front, undominated
from mtlbench.report.evidence.tuning import expected_best, tuned
from mtlbench.report.figures.fronts import fronts
from mtlbench.report.figures.tuning import best_of_trials, rates
from mtlbench.report.page.tuning import chosen_settings, edge_sentence
from mtlbench.report.rows import collect
from mtlbench.report.rows.grid import Row
from mtlbench.report.rows.text import training_text
from mtlbench.runs.manifest import write as write_manifest

REFERENCE = {"segmentation": {"miou": 0.5}, "depth": {"abs_error": 1.0}, "normals": {"angle_mean": 40.0}}


def trial(number: int, rate: float, values: tuple[float, float, float] | None, **options: Any) -> dict[str, Any]:
    """A trial in the form of selection.json; None: it diverged."""
    held_out = {}
    if values is not None:
        held_out = {"segmentation": {"miou": values[0]}, "depth": {"abs_error": values[1]},
                    "normals": {"angle_mean": values[2]}}  # fmt: skip
    score = None
    if values is not None:
        gains = [values[0] / 0.5 - 1, 1 - values[1], 1 - values[2] / 40]
        score = 100 * sum(gains) / 3
    optimizer = {"name": "adam", "learning_rate": rate, "weight_decay": 0.0}
    return {"trial": number, "key": "0" * 16, "score": score, "epoch": 1, "reason": "", "held_out": held_out,
            "flops": 1.0, "optimizer": optimizer, "model": {"width": 1.0}, "weighting": options}  # fmt: skip


def row(kind: str, chosen: int | None, *trials: dict[str, Any]) -> dict[str, Any]:
    return {"chosen": chosen, "weighting": {"kind": kind}, "trials": list(trials)}


@pytest.fixture(scope="module")
def searched(analysis: Analysis) -> Analysis:
    """The made-up grid, one row of it fixed weights, with the selection of a search of three trials without files."""
    rows = {
        "segnet_mtan/equal": row(
            "equal", 1, trial(0, 1e-3, (0.5, 1.0, 40)), trial(1, 1e-2, (0.6, 0.9, 44)), trial(2, 1e-1, None)
        ),
        "segnet_mtan/static": row(
            "static", 0, trial(0, 1e-3, (0.55, 0.95, 39), weights={"depth": 1.5}),
            trial(1, 1e-2, (0.4, 0.8, 50), weights={"depth": 0.5}), trial(2, 1e-1, None, weights={"depth": 2.0}),
        ),
        "segnet_single/only_depth": row("equal", None, *(trial(i, 10.0**i, None) for i in range(3))),
    }  # fmt: skip
    selection = {"rule": "primary_gain", "text": "the largest", "reference": REFERENCE, "rows": rows}
    found = [static(one) if one.weighting == "dwa" else one for one in analysis.grid.rows]
    grid = replace(analysis.grid, rows=tuple(found), input=replace(analysis.grid.input, selection=selection))
    return Analysis(grid, analysis.evidence)


def static(row: Row) -> Row:
    """The same files as a row of fixed weights."""
    return Row(
        row.model, "static", tuple(replace(one, cell=replace(one.cell, weighting="static")) for one in row.cells)
    )


def test_the_expected_best_of_k_is_that_of_all_draws() -> None:
    scores = np.array([3.0, -1.0, 2.0, 8.0])
    draws = np.random.default_rng(0).choice(scores, (200_000, 4))
    found = expected_best(scores)
    assert found[0] == pytest.approx(scores.mean())
    # 200,000 draws: a standard error below 0.01
    assert found == pytest.approx([draws[:, :k].max(1).mean() for k in (1, 2, 3, 4)], abs=0.03)
    assert (np.diff(found) > 0).all()


def test_a_trial_that_diverged_counts_as_tried() -> None:
    assert expected_best(np.array([1.0, np.nan])) == pytest.approx([1.0, 1.0])
    assert expected_best(np.array([0.0, 4.0, np.nan]))[0] == pytest.approx(4 / 3)
    assert np.isnan(expected_best(np.array([np.nan, np.nan]))).all()


def test_who_is_beaten_by_fixed_weights() -> None:
    fixed = np.array([[1.0, 1.0], [3.0, -2.0], [np.nan, 9.0]])
    points = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.5], [3.0, -3.0], [np.nan, 5.0]])
    assert undominated(points, fixed).tolist() == [False, True, True, False, False]


def test_the_table_says_what_was_chosen_and_what_was_lost(searched: Analysis) -> None:
    equal, static, single = chosen_settings(searched)
    assert equal == {
        "row": "segnet_mtan · equal", "trial": "trial1 of 3", "values": ["learning rate 0.01"],
        "score": "6.67", "lost": "1", "stopped": "",
    }  # fmt: skip
    assert static["values"] == ["learning rate 0.001", "weights: depth 1.5"]
    assert single["row"] == "segnet_single · single-task, depth"
    assert single["trial"] == "–"
    assert single["values"] == ["every trial diverged"]


def test_rates_at_the_edge_of_what_was_tried_are_told(searched: Analysis) -> None:
    equal, *_ = searched.tuned
    largest, middle, smallest = (replace(equal, chosen=at) for at in (2, 1, 0))
    assert edge_sentence([largest, largest, middle]).startswith("2 of 3 searches chose the largest learning rate")
    assert edge_sentence([smallest, smallest, middle]).startswith("2 of 3 searches chose the smallest learning rate")
    assert edge_sentence([largest, middle, smallest]) == ""
    assert edge_sentence([]) == ""


def test_gains_are_positive_where_better(searched: Analysis) -> None:
    rows = tuned(searched.grid)
    assert rows[0].gains[1] == pytest.approx([20, 10, -10])
    assert np.isnan(rows[0].gains[2]).all()
    assert fixed_row(rows, "segnet_mtan") is rows[1]
    assert fixed_row(rows, "segnet_split") is None


def test_the_selection_is_read_as_its_manifest_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "selection.json"
    file.write_text('{"rows": {}}')
    path = write_manifest(tmp_path, {"version": 1}, {file.name: file})
    monkeypatch.setattr(collect.summaries, "selection_manifest", lambda *_: path)
    assert collect._selection(None, "x") == ({"rows": {}}, [])  # type: ignore[arg-type]
    file.write_text('{"rows": []}')
    found, (told,) = collect._selection(None, "x")  # type: ignore[arg-type]
    assert found is None
    assert "`mtlbench select x`" in told
    monkeypatch.setattr(collect.summaries, "selection_manifest", lambda *_: None)
    assert collect._selection(None, "x") == (None, [])  # type: ignore[arg-type]


def test_the_front_of_points() -> None:
    points = np.array([[0.0, 3.0], [2.0, 1.0], [1.0, 2.0], [0.5, 0.5], [np.nan, 9.0]])
    assert front(points).tolist() == [[0, 3], [1, 2], [2, 1]]


def test_the_figures(searched: Analysis, analysis: Analysis, tmp_path: Path) -> None:
    best, rate = best_of_trials(searched, tmp_path), rates(searched, tmp_path)
    assert best is not None
    assert rate is not None
    assert "only_depth" not in best.alt  # one metric alone judges a single-task network
    (task_by_task,) = fronts(searched, tmp_path)
    assert task_by_task.name == "search_front_segnet_mtan"
    assert "the front of fixed weights" in task_by_task.caption
    assert all((tmp_path / file).is_file() for file in (*best.files, *rate.files, *task_by_task.files))
    assert fronts(analysis, tmp_path) == []
    assert chosen_settings(analysis) == []
    assert best_of_trials(analysis, tmp_path) is None
    assert rates(analysis, tmp_path) is None


def test_a_searched_optimiser_is_not_told_as_the_one_of_the_block() -> None:
    training = {"epochs": 5, "batch_size": 2, "optimizer": {"name": "adam", "learning_rate": 0.002}}
    assert training_text(training) == "5 epochs, batch 2, adam 0.002, no augmentation"
    assert training_text(training, searched=True) == "5 epochs, batch 2, adam as chosen for each row, no augmentation"
    assert "each row, schedule as chosen for each row" in training_text(
        training, True, {"space": {"schedule": {"values": [{"name": "cosine"}]}}}
    )


def test_chosen_schedules_are_told(searched: Analysis) -> None:
    selection = copy.deepcopy(dict(searched.grid.input.selection or {}))
    for one in selection["rows"]["segnet_mtan/equal"]["trials"]:
        one["schedule"] = {"name": "step", "every": 2, "factor": 0.5} if one["trial"] else {"name": "cosine"}
    grid = replace(searched.grid, input=replace(searched.grid.input, selection=selection))
    assert chosen_settings(Analysis(grid, searched.evidence))[0]["values"] == [
        "learning rate 0.01", "schedule × 0.5 every 2 epochs"
    ]  # fmt: skip
