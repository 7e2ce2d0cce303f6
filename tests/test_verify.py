import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from mtlbench import pipeline, verify
from mtlbench.plan import grid, places, summaries
from mtlbench.plan.params import load
from mtlbench.reproduce import reproduce
from mtlbench.runs import status
from mtlbench.runs.manifest import unequal_data
from mtlbench.runs.manifest import write as write_manifest
from mtlbench.system.errors import DataError, MtlbenchError
from mtlbench.system.files import digest, read_json, write_json
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


def forge(cell: grid.Cell, path: Path) -> None:
    """Make the manifest agree with a file that was changed."""
    manifest = read_json(cell.manifest)
    manifest["outputs"][path.name] = {"sha256": digest(path), "bytes": path.stat().st_size}
    replace(cell.manifest, manifest)


def test_deep_verification_evaluates_sampled_networks_again(cell) -> None:
    said: list[str] = []
    verify.verify(load(), None, said.append, deep=3)
    assert said == [
        f"{CELL}: its network was evaluated again",
        "1 prepared datasets, tables and reports and 1 cells are what their manifests say",
    ]


def test_weights_that_do_not_give_the_reported_numbers_are_found(cell) -> None:
    """A metrics.json that was edited together with its digest: only an evaluation can tell."""
    metrics = read_json(cell.folder / "metrics.json")
    metrics["final"]["depth"]["abs_error"] *= 0.9
    replace(cell.folder / "metrics.json", metrics)
    forge(cell, cell.folder / "metrics.json")
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
    with pytest.raises(VerificationError, match="expected plain file names"):
        verify.verify(load(), None, print)
    shutil.copy(cell.manifest, places.store() / cell.key / "other")
    (places.store() / cell.key / "other").replace(places.store() / cell.key / cell.manifest.name)
    cell.manifest.unlink()
    with pytest.raises(DataError, match="expected plain file names"):
        run_cell(cell, load().runtime)


def test_a_store_entry_without_one_of_its_files_is_trained_again(cell) -> None:
    before = (cell.folder / "history.csv").read_bytes()
    (places.store() / cell.key / "history.csv").unlink()
    shutil.rmtree(cell.folder)
    run_cell(cell, load().runtime)
    assert (cell.folder / "history.csv").read_bytes() == before


def test_reproducing_gives_the_same_bytes_and_touches_nothing(cell, monkeypatch) -> None:
    monkeypatch.setenv(places.STORE_VARIABLE, str(places.STORE))
    before = {path: path.stat().st_mtime_ns for path in Path.cwd().rglob("*") if path.is_file()}
    said: list[str] = []
    reproduce(cell, load().runtime, said.append)
    assert said == [f"{CELL}: all 5 outputs have the same bytes"]
    assert {path: path.stat().st_mtime_ns for path in Path.cwd().rglob("*") if path.is_file()} == before


def test_reproducing_finds_other_bits_on_the_same_hardware(cell) -> None:
    path = cell.folder / "history.csv"
    text = path.read_text()
    path.unlink()
    path.write_text(text.replace("1", "2"))
    forge(cell, path)
    with pytest.raises(VerificationError, match=r"history\.csv has other bytes than recorded, on the same hardware"):
        reproduce(cell, load().runtime, print)


def test_other_hardware_is_compared_by_its_metrics(cell) -> None:
    manifest = read_json(cell.manifest)
    replace(cell.manifest, {**manifest, "device": "another processor"})
    metrics = read_json(cell.folder / "metrics.json")
    metrics["reported"]["depth"]["abs_error"] *= 1.04
    replace(cell.folder / "metrics.json", metrics)
    forge(cell, cell.folder / "metrics.json")
    said: list[str] = []
    reproduce(cell, load().runtime, said.append)
    assert "every reported metric agrees within 5.0% (device" in said[0]
    with pytest.raises(VerificationError, match=r"depth abs_error is .* was reported \(tolerance 1\.0%\)"):
        reproduce(cell, load().runtime, print, tolerance=0.01)


def test_a_run_that_went_on_with_other_code_is_compared_by_its_metrics(cell) -> None:
    manifest = read_json(cell.manifest)
    [segment] = manifest["segments"]
    replace(cell.manifest, {**manifest, "segments": [{**segment, "source": "0" * 16}, {**segment, "epoch": 1}]})
    said: list[str] = []
    reproduce(cell, load().runtime, said.append)
    assert "every reported metric agrees within 5.0% (trained in one go instead of 2 parts" in said[0]


def test_other_data_cannot_be_reproduced_and_is_found_before_the_training(cell, monkeypatch) -> None:
    manifest = read_json(cell.manifest)
    manifest["data"]["train/depth.npy"] = "0" * 64
    replace(cell.manifest, manifest)
    monkeypatch.setattr("mtlbench.training.cell.run_cell", None)
    with pytest.raises(VerificationError, match=r"data of 'train/depth\.npy' differs"):
        reproduce(cell, load().runtime, print)


def test_a_changed_array_is_found_and_nothing_is_reproduced_from_it(cell, monkeypatch) -> None:
    path = cell.dataset.folder / "train/depth.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    verify.verify(load(), None, print, quick=True)
    wrong = r"train/depth\.npy: its content changed; `dvc checkout`, or delete .* and run `mtlbench prepare rooms`"
    with pytest.raises(VerificationError, match=wrong):
        verify.verify(load(), None, print)
    monkeypatch.setattr("mtlbench.training.cell.run_cell", None)
    with pytest.raises(VerificationError, match=wrong):
        reproduce(cell, load().runtime, print)


def test_a_changed_table_of_the_report_is_found(cell, edit) -> None:
    spec = summaries.report_spec(load(), "tiny")
    table = places.report("tiny") / "table.csv"
    table.parent.mkdir(parents=True)
    table.write_text("miou\n12.5\n")
    write_manifest(table.parent, spec, {"table.csv": table})
    verify.verify(load(), "tiny", print)
    table.write_text("miou\n92.5\n")
    with pytest.raises(VerificationError, match=r"table\.csv: its content changed.*`mtlbench report tiny`"):
        verify.verify(load(), "tiny", print)
    table.unlink()
    with pytest.raises(VerificationError, match=r"table\.csv: missing"):
        verify.verify(load(), "tiny", print, quick=True)


def with_weights(cell: grid.Cell, content: bytes) -> None:
    """Replace the weights and what the manifest says of them: only loading them can tell."""
    path = cell.checkpoint_folder / "model.safetensors"
    path.unlink()
    path.write_bytes(content)
    forge(cell, path)


@pytest.mark.parametrize("what", ["not weights", "of another network"])
def test_weights_that_cannot_be_loaded_are_a_problem_with_its_remedy(cell, what: str) -> None:
    other = safetensors.torch.save({"layer.weight": torch.zeros(3)})
    with_weights(cell, other if what == "of another network" else b"\x80\x04K\x01.")
    verify.verify(load(), None, print)
    with pytest.raises(VerificationError, match=r"not the weights of this network \(.*\); delete .* and run again"):
        verify.verify(load(), None, print, deep=1)


@pytest.mark.parametrize("content", ["{", "[]", '{"outputs": {}}', '{"outputs": {"a": 1}}', "\xff"])
def test_a_damaged_manifest_is_named_with_its_remedy(cell, content: str) -> None:
    cell.manifest.unlink()
    cell.manifest.write_bytes(content.encode("latin-1"))
    for command in (
        lambda: verify.verify(load(), None, print),
        lambda: reproduce(cell, load().runtime, print),
    ):
        with pytest.raises(MtlbenchError, match=rf"{cell.manifest}: damaged .*`dvc checkout`, or delete it"):
            command()
    found = status.state(cell)
    assert found.name == "damaged"
    assert found.detail.startswith(f"{cell.manifest}: damaged")


def test_a_manifest_of_another_spec_is_found(cell) -> None:
    manifest = read_json(cell.manifest)
    manifest["spec"]["training"]["optimizer"]["learning_rate"] = 0.1
    replace(cell.manifest, manifest)
    with pytest.raises(VerificationError, match=r"spec does not give its key .*; train the cell again"):
        verify.verify(load(), None, print)


@pytest.mark.parametrize("verb", ["verify", "reproduce"])
def test_the_command_line_gives_reasons_and_no_traceback(cell, verb: str) -> None:
    (cell.folder / "history.csv").unlink()
    argument = CELL if verb == "reproduce" else "tiny"
    done = mtlbench(verb, argument)
    assert done.returncode == 6
    assert done.stderr.startswith(f"error: {cell.folder}/history.csv: missing; `dvc pull`, or delete")
    for wrong, guess in ((argument.replace("tiny", "tinny"), "Did you mean 'tiny'?"), ("nothing", "Known: tiny.")):
        done = mtlbench(verb, wrong)
        assert done.returncode == 2
        assert done.stderr.startswith("error: unknown experiment")
        assert guess in done.stderr
    done = mtlbench("reproduce", CELL.replace("dwa", "dwaa"))
    assert done.returncode == 2
    assert f"Did you mean '{CELL}'? Expected experiment/model/weighting/seed<n>: `mtlbench list cells`" in done.stderr


def mtlbench(*arguments: str) -> subprocess.CompletedProcess:
    """The command line in a process of its own."""
    command = [sys.executable, "-c", "from mtlbench.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


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


def test_arrays_that_the_first_cell_did_not_read_are_compared_too() -> None:
    seen = {"a": {"train/depth.npy": "1"}, "b": {"train/normals.npy": "1"}, "c": {"train/normals.npy": "2"}}
    problem = "c: it was trained on other data than b; prepare and train one of them again"
    assert unequal_data(seen) == [problem]


def test_cells_are_compared_with_the_prepared_data(cell) -> None:
    """A single cell that read other bytes: no second cell could tell."""
    record = read_json(cell.manifest)
    record["data"]["train/depth.npy"] = "0" * 64
    replace(cell.manifest, record)
    with pytest.raises(VerificationError, match=r"seed0: it was trained on other data than .* \(train/depth\.npy\)"):
        verify.verify(load(), None, print)
    shutil.rmtree(cell.dataset.folder)
    verify.verify(load(), None, print)
