"""A report is a function of the cells' files: nothing prepared is needed, and what is damaged is told."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mtlbench import pipeline
from mtlbench.plan import grid, places
from mtlbench.plan.params import load
from mtlbench.report.evidence.analysis import analyse
from mtlbench.report.page.findings import findings
from mtlbench.report.rows.cells import load_cell
from mtlbench.report.rows.collect import report_input
from mtlbench.report.rows.grid import load_grid
from mtlbench.report.rows.inputs import ReportInput
from mtlbench.system.errors import DataError
from mtlbench.system.files import read_json, write_json
from mtlbench.training.cell import run_cell


@pytest.fixture
def trained(project: Path) -> Path:
    """The tiny experiment with all its cells."""
    pipeline.prepare(load(), "rooms")
    for cell in grid.cells(load(), "tiny"):
        run_cell(cell, load().runtime)
    return project


def tree(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_with_results_and_checkpoints_alone_the_page_is_byte_for_byte_the_one_before(trained: Path) -> None:
    pipeline.aggregate(load(), "tiny")
    pipeline.report(load(), "tiny")
    before = tree(places.REPORTS), tree(places.SUMMARIES)
    for folder in (places.DATA, places.WORK, places.REPORTS, places.SUMMARIES):
        shutil.rmtree(folder)
    pipeline.aggregate(load(), "tiny")
    pipeline.report(load(), "tiny")
    assert (tree(places.REPORTS), tree(places.SUMMARIES)) == before
    (grid.cells(load(), "tiny")[-1].manifest).unlink()
    pipeline.report(load(), "tiny", partial=True)
    assert "not trained yet" in (places.report("tiny") / "index.html").read_text()


@pytest.mark.parametrize("label", ["nyuv2", "cityscapes7", "cityscapes_of_mine"])
def test_what_a_dataset_is_called_decides_nothing(project: Path, edit: Callable[[str, str], None], label: str) -> None:
    before = report_input(load(), "tiny", partial=True)
    edit("  rooms: {kind: rooms", f"  {label}: {{kind: rooms")
    edit("dataset: rooms", f"dataset: {label}")
    found = report_input(load(), "tiny", partial=True)
    assert found.published is before.published is None
    assert replace(found, dataset=before.dataset) == before


def test_a_cell_carries_what_the_report_must_know_of_its_data(project: Path) -> None:
    pipeline.prepare(load(), "rooms")
    cell = grid.cell(load(), "tiny/segnet_split/dwa/seed0")
    run_cell(cell, load().runtime)
    block = read_json(cell.manifest)["dataset"]
    assert (block["name"], block["key"], block["size"]) == ("rooms", cell.dataset.key, [32, 32])
    assert block["images"] == {"train": 6, "held_out": 0, "test": 3}
    assert set(block["constant"]) == set(block["tasks"]) == {"segmentation", "depth", "normals"}
    assert block["published"] is None
    shutil.rmtree(places.DATA)
    found = report_input(load(), "tiny", partial=True)
    assert found.constant == block["constant"]
    assert found.size == (32, 32)
    (one,) = [load_cell(one) for one in found.cells if one.folder is not None]
    scenes = one.scenes()
    assert scenes is not None
    assert (scenes.dtype, scenes.tolist()) == (np.dtype(np.int32), [0, 1, 2])
    assert set(one.per_image()) == {"segmentation", "depth", "normals"}


def test_without_any_cell_a_partial_report_knows_what_the_dataset_is(project: Path) -> None:
    found = report_input(load(), "tiny", partial=True)
    assert (found.size, found.constant) == ((32, 32), {})
    assert {cell.missing for cell in found.cells} == {"not trained yet"}


@pytest.fixture
def two(project: Path, edit: Callable[[str, str], None]) -> list[grid.Cell]:
    """The two multi-task cells of the tiny experiment, trained, without others."""
    edit("      segnet_single: {width: 0.0625}\n", "")
    edit("baseline: segnet_single", "baseline: null")
    pipeline.prepare(load(), "rooms")
    cells = grid.cells(load(), "tiny")
    for cell in cells:
        run_cell(cell, load().runtime)
    return cells


def test_a_damaged_manifest_and_other_data_are_told(two: list[grid.Cell]) -> None:
    record = read_json(two[1].manifest)
    record["data"]["train/depth.npy"] = "0" * 64
    two[1].manifest.unlink()
    write_json(two[1].manifest, record)
    (remark,) = report_input(load(), "tiny", partial=True).remarks
    assert remark.startswith(f"{two[1].path}: it was trained on other data than {two[0].path}")
    for text in ("{", "[]", json.dumps({**record, "dataset": {"name": 1}})):
        two[1].manifest.unlink()
        two[1].manifest.write_text(text)
        found = report_input(load(), "tiny", partial=True).cells[-1]
        assert found.folder is None
        assert f"{two[1].manifest}: damaged" in str(found.missing)
        with pytest.raises(DataError, match=r"1 of 2 cells cannot be used, the first: tiny/.*json: damaged"):
            pipeline.aggregate(load(), "tiny")


def test_no_finished_page_is_made_of_edited_numbers(two: list[grid.Cell]) -> None:
    metrics, manifest = two[1].folder / "metrics.json", two[1].manifest
    whole = metrics.read_bytes(), manifest.read_bytes()
    metrics.write_bytes(whole[0].replace(b"1", b"2", 1))
    told = (
        rf"1 of 2 cells cannot be used, the first: {metrics}: its content changed; .* delete {manifest} and run again"
    )
    for verb in (pipeline.aggregate, pipeline.report):
        with pytest.raises(DataError, match=told):
            verb(load(), "tiny")
    assert load_grid(report_input(load(), "tiny", partial=True)).rows[1].missing
    manifest.unlink()  # as the message says
    run_cell(two[1], load().runtime)
    assert (metrics.read_bytes(), manifest.read_bytes()) == whole
    assert pipeline.aggregate(load(), "tiny").exists()


@pytest.fixture
def own(make: Callable[..., ReportInput]) -> ReportInput:
    """A report whose files the test may change."""
    return make(models=("segnet_split",), weightings=("equal",))


def test_an_edited_metrics_file_is_a_missing_result_with_its_reason(own: ReportInput) -> None:
    folder = own.cells[-1].folder
    assert folder is not None
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["reported"]["depth"]["abs_error"] *= 0.5
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert load_cell(own.cells[-1]).missing.startswith("metrics.json: its content changed")
    assert load_grid(own).rows[-1].seeds == [0]


@pytest.mark.parametrize("name", ["per_image.npz", "samples.npz", "history.csv"])
@pytest.mark.parametrize("damage", ["absent", "changed"])
def test_every_file_that_is_not_used_is_named(own: ReportInput, name: str, damage: str) -> None:
    folder = own.cells[-1].folder
    assert folder is not None
    content = bytearray((folder / name).read_bytes())
    content[-30] ^= 1
    (folder / name).unlink()
    if damage == "changed":
        (folder / name).write_bytes(content)
    why = "missing" if damage == "absent" else "its content changed"
    grid_ = load_grid(own)
    assert grid_.unusable == ((own.cells[-1].path, name, why),)
    told = findings(analyse(replace(grid_)))
    assert any(f"{own.cells[-1].path}/{name} ({why})" in sentence for sentence in told)
    cell = load_cell(own.cells[-1])
    assert not (cell.history.size if name == "history.csv" else cell._arrays(name))
