"""Sentences are true where a metric is 0 or unknown."""

from collections.abc import Callable
from dataclasses import replace

from mtlbench.report.evidence.analysis import analyse
from mtlbench.report.page.findings import findings
from mtlbench.report.rows.cells import LoadedCell
from mtlbench.report.rows.grid import load_grid
from mtlbench.report.rows.inputs import ReportInput


def without_small_angles(cell: LoadedCell) -> LoadedCell:
    """The same cell with no normal within 11.25 degrees."""
    metrics = {
        rule: {task: {**values, "within_11_25": 0.0} if task == "normals" else values for task, values in tasks.items()}
        for rule, tasks in cell.metrics.items()
    }
    return replace(cell, metrics=metrics)


def test_a_baseline_of_zero_makes_no_false_sentence(make: Callable[..., ReportInput]) -> None:
    grid = load_grid(make(models=("segnet_mtan",), seeds=(0, 1), images=4))
    rows = [replace(row, cells=tuple(without_small_angles(cell) for cell in row.cells)) for row in grid.rows[:1]]
    analysis = analyse(replace(grid, rows=(*rows, *grid.rows[1:])))
    text = " ".join(findings(analysis))
    assert len(analysis.ranking) == 3
    assert "Δm is not defined: the baseline has 0 or no number in normals <11.25°" in text
    assert "No multi-task row has numbers yet" not in text
    assert "segnet_single · single-task in normals <11.25°" in text
    assert "Every row beats" not in text


def test_a_sentence_that_ends_with_an_abbreviation_has_one_full_stop(make: Callable[..., ReportInput]) -> None:
    analysis = analyse(load_grid(make(models=("segnet_mtan",), seeds=(0, 1), images=4)))
    nothing = {"segmentation": {"pixel_accuracy": 2.0}}  # a constant that no row reaches
    (row, *_) = analysis.grid.rows
    grid = replace(analysis.grid, rows=(row,), input=replace(analysis.grid.input, constant=nothing))
    (sentence,) = (one for one in findings(replace(analysis, grid=grid)) if "predicting a constant" in one)
    assert sentence.endswith("in segmentation Pix. acc.")
