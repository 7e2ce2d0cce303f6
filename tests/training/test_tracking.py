"""What a run writes elsewhere while it trains: the numbers of its history, and never another byte of its result."""

import csv
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mtlbench import pipeline
from mtlbench.plan import grid, places
from mtlbench.plan.params import load
from mtlbench.system.errors import ParamsError
from mtlbench.training import tracking
from mtlbench.training.cell import run_cell

from .conftest import CELL, contents, forget

# Of the trackers' own code.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

Read = Callable[[grid.Cell], dict[int, float]]


@pytest.fixture
def cell(project: Path, monkeypatch: pytest.MonkeyPatch) -> grid.Cell:
    for name in (tracking.VARIABLE, "MLFLOW_TRACKING_URI", "MLFLOW_ALLOW_FILE_STORE"):
        monkeypatch.setenv(name, "")  # put back after the test, whatever it sets
        monkeypatch.delenv(name)
    pipeline.prepare(load(), "rooms")
    return grid.cell(load(), CELL)


def history(cell: grid.Cell) -> dict[int, float]:
    with open(cell.folder / "history.csv", encoding="utf-8", newline="") as file:
        return {int(row["epoch"]) + 1: float(row["train_loss_depth"]) for row in csv.DictReader(file)}


def of_tensorboard(cell: grid.Cell) -> dict[int, float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(places.tracked("tensorboard") / cell.path))
    found.Reload()
    return {event.step: event.value for event in found.Scalars("train/loss_depth")}


def of_dvclive(cell: grid.Cell) -> dict[int, float]:
    path = places.tracked("dvclive") / cell.path / "plots/metrics/train/loss_depth.tsv"
    with open(path, encoding="utf-8", newline="") as file:
        return {int(row["step"]): float(row["loss_depth"]) for row in csv.DictReader(file, delimiter="\t")}


def of_mlflow(cell: grid.Cell) -> dict[int, float]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=places.tracked("mlflow").absolute().as_uri())
    experiment = client.get_experiment_by_name(cell.experiment)
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.tags["mtlbench.key"] == cell.key
    return {one.step: one.value for one in client.get_metric_history(run.info.run_id, "train/loss_depth")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tracker", "read"), [("tensorboard", of_tensorboard), ("dvclive", of_dvclive), ("mlflow", of_mlflow)]
)
def test_it_gets_every_epoch_and_changes_no_byte(
    cell: grid.Cell, edit: Callable[[str, str], None], tracker: str, read: Read
) -> None:
    pytest.importorskip(tracking.PACKAGES[tracker])
    run_cell(cell, load().runtime)
    plain = contents(cell)
    forget(cell)
    edit("data: auto}", f"data: auto, tracker: {tracker}}}")
    tracked = grid.cell(load(), CELL)
    assert tracked.key == cell.key
    run_cell(tracked, load().runtime)
    assert contents(tracked) == plain
    assert read(tracked) == pytest.approx(history(tracked), rel=1e-6)  # TensorBoard keeps float32
    assert len(history(tracked)) == 3


def test_a_tracker_that_fails_is_told_once_and_does_not_stop_the_run(
    cell: grid.Cell, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    def log(epoch: int, row: object) -> None:
        seen.append(epoch)
        raise OSError("no space left")

    monkeypatch.setitem(tracking._OPEN, "tensorboard", lambda cell: (log, lambda: None))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    with caplog.at_level(logging.WARNING, "mtlbench"):
        assert run_cell(cell, load().runtime.model_copy(update={"tracker": "tensorboard"})) == "complete"
    assert seen == [1]
    assert [record.message for record in caplog.records if "gave up" in record.message] == [
        f"{CELL}: tensorboard gave up (OSError: no space left); the training goes on"
    ]


def test_one_that_is_not_installed_is_named_before_anything_runs(
    cell: grid.Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ParamsError, match=r"runtime\.tracker: the package 'tensorboard' is not installed; `pip instal"):
        run_cell(cell, load().runtime.model_copy(update={"tracker": "tensorboard"}))
    assert not cell.manifest.exists()


def test_names_are_grouped() -> None:
    row = {"epoch": 0, "learning_rate": 0.1, "train_loss_depth": 1.0, "test_depth_abs_error": 2, "note": "x"}
    assert tracking.numbers(row) == {"learning_rate": 0.1, "train/loss_depth": 1.0, "test/depth_abs_error": 2.0}
