"""Whole runs: same cell, same bytes; killed anywhere, same bytes."""

import os
import shutil
import signal

import pytest

from mtlbench import pipeline
from mtlbench.plan import grid, places
from mtlbench.plan.params import load
from mtlbench.plan.places import work_folder
from mtlbench.system.errors import BusyError, DataError, DivergedError, ParamsError
from mtlbench.system.files import read_json
from mtlbench.system.lease import lease
from mtlbench.training import checkpoint
from mtlbench.training.cell import run_cell

from .conftest import CELL, contents, forget, kill_at


@pytest.fixture
def prepared(project):
    pipeline.prepare(load(), "rooms")
    return project


@pytest.fixture
def cell(prepared) -> grid.Cell:
    return grid.cell(load(), CELL)


def test_the_same_cell_twice_gives_the_same_bytes(cell) -> None:
    assert run_cell(cell, load().runtime) == "complete"
    first = contents(cell)
    forget(cell)
    run_cell(cell, load().runtime)
    assert contents(cell) == first


def test_another_seed_gives_other_numbers(cell, edit) -> None:
    run_cell(cell, load().runtime)
    edit("seeds: [0]", "seeds: [0, 1]")
    other = grid.cell(load(), CELL.replace("seed0", "seed1"))
    run_cell(other, load().runtime)
    assert contents(cell)["history.csv"] != contents(other)["history.csv"]


@pytest.mark.parametrize(
    ("module", "owner", "name", "count"),
    [
        ("mtlbench.training.loop", "", "train_step", 2),  # in the first epoch
        ("mtlbench.training.loop", "", "train_step", 5),  # in the second
        ("mtlbench.training.loop", "", "evaluate", 2),  # between training and evaluation
        ("os", "", "replace", 6),  # a file is written but not yet renamed
        ("os", "", "fsync", 9),  # half-way through writing a file
        ("mtlbench.training.checkpoint", "", "save", 3),  # all epochs done, the last checkpoint missing
        ("mtlbench.training.outputs", "", "_write_arrays", 2),  # some outputs written
        ("mtlbench.runs.store", "", "publish", 1),  # all outputs written, not yet published
        ("mtlbench.runs.store", "", "link_or_copy", 3),  # half linked into the workspace
    ],
)
def test_a_killed_run_continues_to_the_same_bytes(cell, module: str, owner: str, name: str, count: int) -> None:
    run_cell(cell, load().runtime)
    expected = contents(cell)
    forget(cell)
    kill_at(module, owner, name, count)
    assert not cell.manifest.exists(), "a killed run must not look complete"
    run_cell(cell, load().runtime)
    assert contents(cell) == expected


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="no C++ compiler")
def test_a_compiled_run_killed_continues_to_the_same_bytes(cell, edit) -> None:
    edit("compile: false", "compile: true")
    edit("batch_size: 2", "batch_size: 4")  # of six images: the last batch is smaller
    cell = grid.cell(load(), CELL)
    run_cell(cell, load().runtime)
    whole = contents(cell)
    forget(cell)
    kill_at("mtlbench.training.loop", "", "train_step", 5)  # in the second epoch
    assert run_cell(cell, load().runtime) == "complete"
    assert contents(cell) == whole


def test_compiling_without_a_compiler_says_what_to_do(cell, edit, monkeypatch) -> None:
    edit("compile: false", "compile: true")
    monkeypatch.setenv("CXX", "nosuchcompiler")
    with pytest.raises(ParamsError, match="'nosuchcompiler' is not installed here; install it"):
        run_cell(cell, load().runtime)


def test_a_signal_saves_in_the_middle_of_an_epoch_and_the_run_continues(cell, monkeypatch) -> None:
    from mtlbench.system.errors import Interrupted
    from mtlbench.training import loop

    run_cell(cell, load().runtime)
    expected = contents(cell)
    forget(cell)
    steps = []
    original = loop.train_step

    def step(trainer, *args) -> None:
        original(trainer, *args)
        steps.append((trainer.epoch, trainer.step))
        if len(steps) == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(loop, "train_step", step)
    with pytest.raises(Interrupted, match="SIGTERM in epoch 2 after step 2"):
        run_cell(cell, load().runtime)
    assert checkpoint._found(work_folder(cell.key))[0].name[:20] == "state-000001-000002."
    run_cell(cell, load().runtime)
    assert steps[5:] == [(1, 2), (2, 0), (2, 1), (2, 2)], "it must continue where it stopped"
    assert contents(cell) == expected


@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_it_used(cell, monkeypatch, damage: str, caplog) -> None:
    run_cell(cell, load().runtime)
    expected = contents(cell)
    forget(cell)
    kill_at("mtlbench.training.loop", "", "train_step", 8)
    caplog.set_level("INFO", "mtlbench")
    newest, before = checkpoint._found(work_folder(cell.key))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    run_cell(cell, load().runtime)
    assert f"{newest.name} is damaged" in caplog.text
    assert "continuing in epoch 2" in caplog.text
    assert before.name.startswith("state-000001")
    assert contents(cell) == expected


def test_a_finished_cell_is_not_touched_again(cell, monkeypatch) -> None:
    run_cell(cell, load().runtime)
    before = {path: path.stat().st_mtime_ns for path in cell.folder.iterdir()}
    monkeypatch.setattr("mtlbench.training.run.make_trainer", None)
    run_cell(cell, load().runtime)
    assert {path: path.stat().st_mtime_ns for path in cell.folder.iterdir()} == before


def test_a_result_in_the_store_is_linked_in_without_training(cell, monkeypatch) -> None:
    run_cell(cell, load().runtime)
    expected = contents(cell)
    for path in cell.folder.iterdir():
        path.unlink()
    monkeypatch.setattr("mtlbench.training.run.make_trainer", None)
    run_cell(cell, load().runtime)
    assert contents(cell) == expected


def test_a_damaged_store_entry_is_trained_again(cell) -> None:
    run_cell(cell, load().runtime)
    expected = contents(cell)
    for path in cell.folder.iterdir():
        path.unlink()
    (places.store() / cell.key / "metrics.json").unlink()
    (places.store() / cell.key / "metrics.json").write_text("{}")
    run_cell(cell, load().runtime)
    assert contents(cell) == expected


def test_a_result_that_is_edited_in_place_leaves_the_store_alone(cell, monkeypatch) -> None:
    run_cell(cell, load().runtime)
    expected = contents(cell)
    for path in cell.folder.iterdir():
        with open(path, "a") as file:
            file.write("edited")
    for path in cell.folder.iterdir():
        path.unlink()
    monkeypatch.setattr("mtlbench.training.run.make_trainer", None)
    run_cell(cell, load().runtime)
    assert contents(cell) == expected


def test_the_second_run_of_a_cell_refuses(cell) -> None:
    with lease(places.cell_lease(cell.key), "x"), pytest.raises(BusyError, match="already working on it"):
        run_cell(cell, load().runtime)
    assert not cell.folder.exists()


def test_a_missing_dataset_says_what_to_run(project) -> None:
    cell = grid.cell(load(), CELL)
    shutil.rmtree(cell.dataset.folder)
    with pytest.raises(DataError, match="mtlbench prepare rooms"):
        run_cell(cell, load().runtime)
    assert not cell.folder.exists()


def test_nan_names_epoch_step_and_task_and_keeps_the_last_checkpoint(cell, monkeypatch) -> None:
    from mtlbench.tasks.depth import Depth

    original = Depth.loss
    counts = []

    def loss(self, raw, target):
        value = original(self, raw, target)
        counts.append(value)
        # 3 training steps and 1 evaluation in the first epoch, so the sixth call is step 2 of the second
        return value * float("nan") if len(counts) == 6 else value

    monkeypatch.setattr(Depth, "loss", loss)
    with pytest.raises(DivergedError, match=r"'depth' is NaN or infinite at epoch 2, step 2"):
        run_cell(cell, load().runtime)
    assert [path.name[:13] for path in work_folder(cell.key).glob("state-*")] == ["state-000001-"]
    assert "epoch 2, step 2" in read_json(work_folder(cell.key) / "failure.json")["reason"]
    assert not cell.folder.exists()
    assert [path.name for path in places.store().rglob("*")] == [".leases"], "nothing is left, no lease either"


def test_a_recorded_divergence_is_a_result_with_its_reason(prepared, edit) -> None:
    edit("dwa: {temperature: 2.0}", "uncertainty: {start: -1000.0}")
    cell = grid.cell(load(), "tiny/segnet_split/uncertainty/seed0")
    assert run_cell(cell, load().runtime, record_divergence=True) == "diverged"
    manifest = read_json(cell.manifest)
    assert manifest["status"] == "diverged"
    assert "NaN or infinite at epoch 1" in manifest["reason"]
    assert not (cell.folder / "metrics.json").exists()


def test_a_full_disk_while_saving_keeps_the_last_checkpoint_and_the_run_continues(cell, monkeypatch) -> None:
    import errno

    run_cell(cell, load().runtime)
    expected = contents(cell)
    forget(cell)
    original, calls = checkpoint.atomic_writer, []

    def full(path, *args):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return original(path, *args)

    monkeypatch.setattr(checkpoint, "atomic_writer", full)
    with pytest.raises(OSError, match="No space left"):
        run_cell(cell, load().runtime)
    assert [path.name[:13] for path in work_folder(cell.key).glob("state-*")] == ["state-000001-"]
    run_cell(cell, load().runtime)
    assert contents(cell) == expected
