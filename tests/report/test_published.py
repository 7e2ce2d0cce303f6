"""Published numbers: the shipped copy, the check of their own Delta_m, and the match with our rows."""

import importlib.resources
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mtlbench.report.evidence import published_nyud
from mtlbench.report.evidence.analysis import analyse
from mtlbench.report.evidence.published import beside, caveats, check, load, metric_names, protocol_of
from mtlbench.report.figures.all import Sections
from mtlbench.report.page.page import Page, render
from mtlbench.report.page.tables import comparison_table
from mtlbench.report.rows.grid import load_grid
from mtlbench.report.rows.inputs import ReportInput
from mtlbench.tasks import make_tasks

from .conftest import scenes

CLASSES = {"classes": 13, "class_names": [f"class {i}" for i in range(13)]}


def test_shipped_table_is_the_reference(shared: Path) -> None:
    ours = importlib.resources.files("mtlbench.report.evidence").joinpath("published_results.csv").read_bytes()
    assert ours == (shared / "reference" / "published_results.csv").read_bytes()


def test_only_imtl_g_on_nyuv2_disagrees_with_its_own_row() -> None:
    checked = check()
    assert len(checked) == 45
    assert [(row.dataset, row.weighting) for row in checked if not row.agrees] == [("nyuv2", "imtl_g")]
    wrong = next(row for row in checked if not row.agrees)
    assert wrong.published == 0.76
    assert wrong.recomputed == pytest.approx(0.60, abs=0.005)


def test_every_table_is_checked() -> None:
    assert {(row.dataset, row.source.split(" ")[0]) for row in check()} == {
        ("nyuv2", "NTKMTL"), ("cityscapes7", "NTKMTL"), ("nyuv2", "Auto-Lambda"),
    }  # fmt: skip


def test_centimetres_become_metres() -> None:
    assert load()["abs_err"].max() < 1


def test_column_names_are_metrics_of_the_tasks() -> None:
    tasks = make_tasks({"segmentation": CLASSES, "depth": {}, "inverse_depth": {}, "normals": {}})
    for columns in metric_names().values():
        for task, metric in columns.values():
            assert metric in [m.name for m in tasks[task].metrics]


def test_every_source_has_its_protocol() -> None:
    assert all(protocol_of(source) for source in load()["source"])


def test_our_rows_find_their_published_counterparts(make: Callable[..., ReportInput]) -> None:
    report = make(models=("segnet_mtan",), weightings=("equal", "dwa"), seeds=(0,), images=3)
    # no label and no list of classes puts numbers beside published ones
    named = replace(report, dataset="nyuv2", tasks={**report.tasks, "segmentation": CLASSES})
    assert beside(load_grid(named)) == ([], [])
    tasks = {**report.tasks, "segmentation": CLASSES}
    columns, found = beside(load_grid(replace(report, dataset="ours", published="nyuv2", tasks=tasks)))
    assert [column.name for column in columns][:3] == [
        "segmentation_miou",
        "segmentation_pixel_accuracy",
        "depth_abs_error",
    ]
    names = {comparison.row.label: len(comparison.published) for comparison in found}
    # STL of the MTAN-SegNet table; equal and dwa in that table and in LibMTL's SegNet results
    assert names == {"segnet_single · single-task": 1, "segnet_mtan · equal": 2, "segnet_mtan · dwa": 2}
    assert [weighting for weighting, _ in caveats(found, check())] == ["nash_mtl"]
    assert caveats(found, []) == []
    values = dict(found[1].published)
    assert next(v for s, v in values.items() if s.startswith("NTKMTL"))["segmentation_miou"] == 39.29
    assert found[1].ours["segmentation_miou"] > 1  # percent, like the published ones


def test_nyud_with_40_classes_has_its_rows_and_no_other_page_has(make: Callable[..., ReportInput]) -> None:
    tasks = {"depth": {"thresholds": True}, "edges": {}}
    data = scenes(3, (24, 32))
    data["edges"] = (data["segmentation"][:, None] == 4).half()
    grid = load_grid(make(models=(), seeds=(0,), descriptions=tasks, data=data, published="nyud"))
    found = published_nyud.beside(grid)
    assert found is not None
    assert [heading.split(" ")[0] for heading, _ in found.columns] == ["RMSE", "odsF"]
    assert [line.values[0] for line in found.ours] == [grid.reported[grid.rows[0].slug]["depth_rmse"][0]]
    assert math.isnan(found.ours[0].values[1])  # our odsF is another measure
    assert (found.published[0].network, found.published[0].values) == ("ATRC", (0.5363, 77.94))
    analysis = analyse(grid)
    page = render(Page(analysis, comparison_table(analysis), Sections()))
    assert "An orientation, not a comparison" in page
    assert "Do published Δm follow" not in page
    assert beside(grid) == ([], [])
    for other in (None, "nyuv2", "cityscapes7"):
        assert published_nyud.beside(replace(grid, input=replace(grid.input, published=other))) is None
