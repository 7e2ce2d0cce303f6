import json
import shutil
from pathlib import Path

import pytest

from mtlbench import grid, pipeline, store, verify
from mtlbench.errors import DataError
from mtlbench.files import read_json, write_json
from mtlbench.params import load
from mtlbench.reproduce import reproduce
from mtlbench.training.again import differences
from mtlbench.training.cell import run_cell
from mtlbench.verify import VerificationError

CELL = "tiny/segnet_split/dwa/seed0"


@pytest.fixture
def cell(project) -> grid.Cell:
    """A trained cell in a project of its own."""
    pipeline.prepare(load(), "rooms")
    made = grid.cell(load(), CELL)
    run_cell(made, load().runtime)
    return made


def replace(path: Path, value: object) -> None:
    """Rewrite a JSON file, leaving the store's hard link to its old content alone."""
    path.unlink()
    write_json(path, value)


def test_deep_verification_evaluates_sampled_networks_again(cell) -> None:
    said: list[str] = []
    verify.verify(load(), None, said.append, deep=3)
    assert said == [f"{CELL}: its network was evaluated again", "1 cells are what their manifests say"]


def test_weights_that_do_not_give_the_reported_numbers_are_found(cell) -> None:
    """A metrics.json that was edited together with its digest: only an evaluation can tell."""
    from mtlbench.files import digest

    metrics = read_json(cell.folder / "metrics.json")
    metrics["final"]["depth"]["abs_error"] *= 0.9
    replace(cell.folder / "metrics.json", metrics)
    manifest = read_json(cell.manifest)
    path = cell.folder / "metrics.json"
    manifest["outputs"]["metrics.json"] = {"sha256": digest(path), "bytes": path.stat().st_size}
    replace(cell.manifest, manifest)
    verify.verify(load(), None, print)
    with pytest.raises(VerificationError, match=r"evaluated again, depth abs_error is .* was reported"):
        verify.verify(load(), None, print, deep=1)


def test_quick_verification_sees_sizes_and_absence_only(cell) -> None:
    path = cell.folder / "history.csv"
    text = path.read_text()
    path.unlink()
    path.write_text(text.replace("1", "2"))
    verify.verify(load(), None, print, quick=True)
    with pytest.raises(VerificationError, match=r"history\.csv: its content changed"):
        verify.verify(load(), None, print)
    path.unlink()
    with pytest.raises(VerificationError, match=r"history\.csv: missing"):
        verify.verify(load(), None, print, quick=True)


def test_cells_that_saw_other_data_are_found(cell, edit) -> None:
    edit("seeds: [0]", "seeds: [0, 1]")
    other = grid.cell(load(), CELL.replace("seed0", "seed1"))
    run_cell(other, load().runtime)
    verify.verify(load(), None, print)
    manifest = read_json(other.manifest)
    manifest["data"]["train/depth.npy"] = "0" * 64
    replace(other.manifest, manifest)
    with pytest.raises(VerificationError, match=r"seed1: it was trained on other data than .*seed0"):
        verify.verify(load(), None, print)


@pytest.mark.parametrize("name", ["../../../../stolen", "/tmp/stolen", "", ".."])
def test_a_manifest_whose_names_lead_elsewhere_is_refused(cell, name: str) -> None:
    manifest = read_json(cell.manifest)
    manifest["outputs"][name] = manifest["outputs"]["history.csv"]
    replace(cell.manifest, manifest)
    with pytest.raises(DataError, match="expected plain file names"):
        verify.verify(load(), None, print)
    shutil.copy(cell.manifest, store.folder() / cell.key / "other")
    (store.folder() / cell.key / "other").replace(store.folder() / cell.key / cell.manifest.name)
    cell.manifest.unlink()
    with pytest.raises(DataError, match="expected plain file names"):
        run_cell(cell, load().runtime)


def test_a_store_entry_without_one_of_its_files_is_trained_again(cell) -> None:
    before = (cell.folder / "history.csv").read_bytes()
    (store.folder() / cell.key / "history.csv").unlink()
    shutil.rmtree(cell.folder)
    run_cell(cell, load().runtime)
    assert (cell.folder / "history.csv").read_bytes() == before


def test_reproducing_gives_the_same_bytes_and_touches_nothing(cell, monkeypatch) -> None:
    monkeypatch.setenv("MTLBENCH_STORE", "work/store")
    before = {path: path.stat().st_mtime_ns for path in Path.cwd().rglob("*") if path.is_file()}
    said: list[str] = []
    reproduce(cell, load().runtime, said.append)
    assert said == [f"{CELL}: all 5 outputs have the same bytes"]
    assert {path: path.stat().st_mtime_ns for path in Path.cwd().rglob("*") if path.is_file()} == before


def test_reproducing_finds_other_bits_on_the_same_hardware(cell) -> None:
    manifest = read_json(cell.manifest)
    manifest["outputs"]["history.csv"]["sha256"] = "0" * 64
    replace(cell.manifest, manifest)
    with pytest.raises(VerificationError, match=r"history\.csv has other bytes than recorded, on the same hardware"):
        reproduce(cell, load().runtime, print)


def test_other_hardware_is_compared_by_its_metrics(cell) -> None:
    manifest = read_json(cell.manifest)
    replace(cell.manifest, {**manifest, "device": "another processor"})
    metrics = read_json(cell.folder / "metrics.json")
    metrics["reported"]["depth"]["abs_error"] *= 1.04
    replace(cell.folder / "metrics.json", metrics)
    said: list[str] = []
    reproduce(cell, load().runtime, said.append)
    assert "every reported metric agrees within 5.0% (device" in said[0]
    with pytest.raises(VerificationError, match=r"depth abs_error is .* was reported \(tolerance 1\.0%\)"):
        reproduce(cell, load().runtime, print, tolerance=0.01)


def test_other_data_cannot_be_reproduced(cell) -> None:
    manifest = read_json(cell.manifest)
    manifest["data"]["train/depth.npy"] = "0" * 64
    replace(cell.manifest, manifest)
    with pytest.raises(VerificationError, match=r"data of 'train/depth\.npy' differs"):
        reproduce(cell, load().runtime, print)


def test_nothing_to_reproduce_says_what_to_run(project) -> None:
    with pytest.raises(DataError, match=f"mtlbench train {CELL}"):
        reproduce(grid.cell(load(), CELL), load().runtime, print)


def test_differences_count_undefined_values() -> None:
    recorded = {"depth": {"a": 1.0, "b": None}}
    assert differences(recorded, {"depth": {"a": 1.0005, "b": None}}, 1e-3) == []
    assert len(differences(recorded, {"depth": {"a": 1.002, "b": None}}, 1e-3)) == 1
    assert len(differences(recorded, {"depth": {"a": None, "b": 2.0}}, 1e-3)) == 2


def test_nothing_secret_reaches_a_manifest_or_a_log(project, monkeypatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2-secret")
    pipeline.prepare(load(), "rooms")
    run_cell(grid.cell(load(), CELL), load().runtime)
    for path in project.rglob("*"):
        if path.is_file():
            assert b"hunter2-secret" not in path.read_bytes(), path
    user = json.dumps(read_json(grid.cell(load(), CELL).manifest))
    assert str(project) not in user, "a manifest holds no paths of the machine"
