"""The verbs around training."""

import csv
import shutil
import sys
from pathlib import Path

import pytest

from mtlbench import pipeline
from mtlbench.cli import app
from mtlbench.plan import grid, places
from mtlbench.plan.params import load
from mtlbench.runs import pages
from mtlbench.system.errors import exit_code
from mtlbench.system.files import read_json, write_json


def test_joined_curves_are_quoted_and_keep_their_columns(project: Path) -> None:
    text = (project / "params.yaml").read_text()
    block = text[text.index("  tiny:\n") :]
    (project / "params.yaml").write_text(
        text.replace("run: [tiny]", "run: [tiny, other]") + block.replace("tiny:", "other:")
    )
    rows = {
        "tiny": ["model,value", '"a, ""b""",1'],
        "other": ["model,more,value", "c,2,3"],
    }
    for name, lines in rows.items():
        folder = places.summary(name)
        write_json(folder / "metrics.json", {f"{name}.dwa": {"depth_abs_error": 0.5}})
        (folder / "curves.csv").write_text("\n".join(lines) + "\n")
        pages.summary_manifest(load(), name).write_text("{}")
    write_json(places.METRICS / "gone" / "net.dwa.json", {})
    pipeline.join(load())
    with open(places.CURVES, encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert found == [
        {"experiment": "tiny", "model": 'a, "b"', "value": "1", "more": ""},
        {"experiment": "other", "model": "c", "value": "3", "more": "2"},
    ]
    metrics = {path.relative_to(places.METRICS).as_posix(): read_json(path) for path in places.METRICS.rglob("*.json")}
    assert metrics == {f"{name}/{name}.dwa.json": {"depth_abs_error": 0.5} for name in rows}
    assert {path.name for path in places.vega().iterdir()} == {"vega.js", "vega-lite.js", "vega-embed.js"}


def test_a_damaged_manifest_is_no_finished_cell(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = grid.cell(load(), "tiny/segnet_split/equal/seed0")
    cell.manifest.parent.mkdir(parents=True)
    cell.manifest.write_text("{")
    monkeypatch.setattr(sys, "argv", ["mtlbench", "train", cell.path])
    assert exit_code(app) == 3
    told = capsys.readouterr().err
    assert told.startswith(f"error: {cell.manifest}: damaged")
    assert told.count("\n") == 1


def test_a_folder_that_cannot_be_copied_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / name).symlink_to("nowhere")
    assert exit_code(lambda: shutil.copytree(folder, tmp_path / "copy")) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: [Errno 2] No such file or directory: ")
    assert told.endswith(", and 2 more\n")
    assert told.count("\n") == 1


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(lambda: write_json(tmp_path, {})) == 1
    assert capsys.readouterr().err == f"error: Is a directory: {tmp_path}\n"  # not the file that was to be renamed
