"""The files for a paper's author hold the numbers themselves."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.page.numbers import classes, results
from mtlbench.report.rows.files import write_csv


def test_results_have_full_precision(analysis: Analysis, tmp_path: Path) -> None:
    write_csv(tmp_path / "results.csv", results(analysis), digits=17)
    table = pd.read_csv(tmp_path / "results.csv", keep_default_na=False, na_values=[""])
    assert len(table) == len(analysis.grid.rows) * len(analysis.columns)
    for row in analysis.grid.rows:
        for column in analysis.columns:
            values = analysis.grid.reported[row.slug][column.name]
            name = table["task"].fillna("") == column.task
            line = table[
                (table["model"] == row.model) & (table["weighting"] == (row.weighting or "single-task"))
                & name & (table["metric"] == column.metric.name)
            ].squeeze()  # fmt: skip
            assert line["mean"] == values.mean() + 0.0
            assert line["deviation"] == np.std(values, ddof=1)
            assert line["n"] == 2
            assert line["low"] <= line["mean"] <= line["high"]


def test_no_number_is_minus_zero(analysis: Analysis, tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", pd.DataFrame({"x": [-0.0, 0.0, -1.0]}))
    assert (tmp_path / "a.csv").read_text() == "x\n0\n0\n-1\n"


def test_classes_average_to_the_miou(analysis: Analysis) -> None:
    table = classes(analysis)
    for (model, _), group in table.groupby(["model", "weighting"]):
        assert model
        assert group["iou"].between(0, 1).all()
    row = analysis.grid.rows[0]
    matrix = analysis.evidence[row.slug].totals["segmentation"]["confusion"]
    first = table[table["model"] == row.model]["iou"].to_numpy()
    correct = np.diag(matrix)
    assert first == pytest.approx(correct / (matrix.sum(0) + matrix.sum(1) - correct))
