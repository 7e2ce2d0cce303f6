"""The tidy tables."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from mtlbench.report.rows.files import write_summary
from mtlbench.report.rows.grid import load_grid
from mtlbench.report.rows.inputs import ReportInput
from mtlbench.report.rows.tidy import curves, summary, thinned


def test_summary_holds_every_number_of_the_cells(report: ReportInput) -> None:
    table = summary(load_grid(report)).set_index(["model", "weighting", "seed", "rule", "task", "metric"])["value"]
    for cell in report.cells:
        metrics = json.loads((cell.folder / "metrics.json").read_text())
        weighting = "single-task" if cell.weighting.startswith("only_") else cell.weighting
        for rule in ("reported", "last", "best_on_test"):
            for task, values in metrics[rule].items():
                for metric, value in values.items():
                    assert table[cell.model, weighting, cell.seed, rule, task, metric] == value


def test_missing_results_are_rows_with_a_reason(report: ReportInput) -> None:
    cells = (*report.cells[:-1], replace(report.cells[-1], folder=None, missing="killed"))
    table = summary(load_grid(replace(report, cells=cells)))
    missing = table[table["reason"] != ""]
    assert missing[["model", "weighting", "seed", "task", "reason"]].to_numpy().tolist() == [
        ["segnet_split", "dwa", 1, task, "killed"] for task in ("segmentation", "depth", "normals")
    ]
    assert missing["value"].isna().all()


def test_curves_are_means_over_seeds(report: ReportInput) -> None:
    table = curves(load_grid(report))
    row = table[(table["row"] == "segnet_mtan · dwa") & (table["task"] == "depth") & (table["quantity"] == "loss")]
    row = row[(row["split"] == "test") & (row["epoch"] == 12)].iloc[0]
    folders = [c.folder for c in report.cells if c.path.startswith("test/segnet_mtan/dwa")]
    values = [pd.read_csv(folder / "history.csv")["test_loss_depth"].iloc[-1] for folder in folders]
    assert row["mean"] == pytest.approx(sum(values) / 2)
    assert row["n"] == 2
    assert set(table["split"]) == {"train", "test"}


@pytest.mark.parametrize("count", [0, 1, 59, 60, 61, 200, 1000])
def test_thinned_keeps_the_last_epoch(count: int) -> None:
    kept = thinned(count)
    assert len(kept) <= 60
    assert kept == sorted(set(kept))
    assert count == 0 or kept[-1] == count - 1


def test_write_summary_writes_three_files(report: ReportInput, tmp_path: Path) -> None:
    paths = write_summary(report, tmp_path / "deep")
    assert sorted(paths) == ["curves.csv", "metrics.json", "summary.csv"]
    metrics = json.loads(paths["metrics.json"].read_text())
    assert set(metrics) == {
        "segnet_single.single", "segnet_mtan.equal", "segnet_mtan.dwa", "segnet_split.equal", "segnet_split.dwa",
    }  # fmt: skip
    table = pd.read_csv(paths["summary.csv"])
    chosen = table[(table["model"] == "segnet_mtan") & (table["weighting"] == "dwa") & (table["rule"] == "reported")]
    assert metrics["segnet_mtan.dwa"]["depth_abs_error"] == pytest.approx(
        chosen[(chosen["task"] == "depth") & (chosen["metric"] == "abs_error")]["value"].mean()
    )
