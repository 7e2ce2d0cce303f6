"""Several cells in one command: each in a process of its own, and none depends on how the others end."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mtlbench import pipeline
from mtlbench.plan import extensions, grid, places
from mtlbench.plan.params import load
from mtlbench.plan.places import work_folder
from mtlbench.report.rows.collect import report_input
from mtlbench.runs import status
from mtlbench.system import lease
from mtlbench.system.errors import Interrupted
from mtlbench.system.files import read_json
from mtlbench.training import run as run_module
from mtlbench.training.cell import run_cell
from mtlbench.training.processes import several

from .conftest import Command, contents

PATHS = [f"tiny/segnet_split/{weighting}/seed0" for weighting in ("failing", "equal", "dwa")]
COMMAND = [str(Path(sys.executable).parent / "mtlbench"), "train"]
#: {key: the bytes of the cell when it is trained by itself}: several tests compare with the same cell.
ALONE: dict[str, dict[str, bytes]] = {}


@pytest.fixture
def cells(project, edit, repository, monkeypatch) -> list[grid.Cell]:
    """Three cells; the first one's weighting fails in its run."""
    monkeypatch.setenv(extensions.VARIABLE, "")
    edit("run: [tiny]", f"extensions: [{repository}/tests/extensions/failing]\nrun: [tiny]")
    edit("      equal: {}\n", "      equal: {}\n      failing: {}\n")
    pipeline.prepare(load(), "rooms")
    return [grid.cell(load(), path) for path in PATHS]


@pytest.fixture
def train(tmp_path_factory) -> Callable[..., Command]:
    """A function that starts `mtlbench train` in a process group of its own, forked from one that has loaded torch."""
    folder = tmp_path_factory.mktemp("said")
    return lambda *arguments: Command(folder / str(len(list(folder.iterdir()))), "train", *arguments)


def alone(cell: grid.Cell, elsewhere: Path, monkeypatch) -> dict[str, bytes]:
    """The bytes of the cell when it is trained by itself, in another store."""
    if cell.key not in ALONE:
        with monkeypatch.context() as patch:
            shutil.copytree("data", elsewhere / "data")
            shutil.copy("params.yaml", elsewhere)
            patch.chdir(elsewhere)
            run_cell(cell, load().runtime)
            ALONE[cell.key] = contents(cell)
    return ALONE[cell.key]


def worker(cell: grid.Cell) -> int:
    """The process that trains the cell, once it has saved."""
    end = time.monotonic() + 60
    while not (held := lease.holder(places.cell_lease(cell.key))) or not any(work_folder(cell.key).glob("state-*.pt")):
        assert time.monotonic() < end, f"{cell.path} does not train"
        time.sleep(0.02)
    return held.pid


def test_a_cell_that_fails_stops_no_other_and_what_is_done_costs_nothing(
    cells, train, tmp_path_factory, monkeypatch
) -> None:
    failing, *others = cells
    code, printed = train(*PATHS).ended(120)
    assert code == 1
    assert f"1 of 3 cells failed: {failing.path} (ended with exit code 2)" in printed
    assert "this weighting fails in its job" in status.state(failing).detail
    assert [status.state(cell).name for cell in cells] == ["failed", "done", "done"]
    missing = {cell.path: cell.missing for cell in report_input(load(), "tiny", partial=True).cells}
    assert "this weighting fails in its job" in missing[failing.path]
    assert missing[others[0].path] is None
    assert contents(others[1]) == alone(others[1], tmp_path_factory.mktemp("alone"), monkeypatch)

    again = subprocess.run(
        [sys.executable, "-X", "importtime", *COMMAND, *PATHS[1:]], capture_output=True, text=True, check=True
    )
    assert again.stderr.count("finished before") == 2
    assert not [line for line in again.stderr.splitlines() if line.endswith((" torch", " scipy", " h5py"))]


def test_a_cell_that_crashes_stops_no_other_and_leaves_a_reason(
    cells, train, edit, tmp_path_factory, monkeypatch
) -> None:
    edit("epochs: 3", "epochs: 12")
    crashing, other = (grid.cell(load(), path) for path in PATHS[1:])
    running = train(*PATHS[1:])
    os.kill(worker(crashing), signal.SIGKILL)
    code, printed = running.ended(120)
    assert code == 1
    assert f"1 of 2 cells failed: {crashing.path} (was killed by SIGKILL (out of memory?))" in printed
    assert status.state(crashing).name == "failed"
    assert "killed by SIGKILL (out of memory?)" in status.state(crashing).detail
    assert other.manifest.exists()
    _, printed = train(*PATHS[1:]).ended(120)
    assert f"{crashing.path}: continuing in epoch" in printed
    assert contents(crashing) == alone(crashing, tmp_path_factory.mktemp("alone"), monkeypatch)


@pytest.mark.parametrize("to_all", [True, False], ids=["to every process, as Slurm does", "to the first process"])
def test_a_signal_saves_the_running_cell_and_starts_no_other(
    to_all, cells, train, edit, tmp_path_factory, monkeypatch
) -> None:
    edit("epochs: 3", "epochs: 12")
    first, second = (grid.cell(load(), path) for path in PATHS[1:])
    running = train(*PATHS[1:])
    worker(first)
    (os.killpg if to_all else os.kill)(running.pid, signal.SIGTERM)
    code, printed = running.ended(60)
    assert code == 143
    assert f"{first.path}: stopped by SIGTERM in epoch" in printed
    assert status.state(first).name == "stopped"
    assert status.state(second).name == "pending"
    _, printed = train(*PATHS[1:]).ended(120)
    assert f"{first.path}: continuing in epoch" in printed
    assert contents(first) == alone(first, tmp_path_factory.mktemp("alone"), monkeypatch)
    assert second.manifest.exists()


def test_a_signal_between_two_cells_starts_no_other(cells, monkeypatch) -> None:
    def run(_: grid.Cell) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(several, "note_failure", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted, match=f"stopped by SIGTERM before {PATHS[2]}"):
        several.run_each(cells[1:], run)


def test_two_at_once_stop_together_and_a_third_waits_for_its_turn(
    cells, train, edit, tmp_path_factory, monkeypatch
) -> None:
    edit("epochs: 3", "epochs: 12")
    failing, *others = (grid.cell(load(), path) for path in PATHS)
    running = train("--at-once", "2", *PATHS[1:], PATHS[0])
    first, second = (worker(cell) for cell in others)
    assert first != second
    os.kill(running.pid, signal.SIGTERM)
    code, printed = running.ended(60)
    assert code == 143
    for cell in others:
        assert f"{cell.path}: stopped by SIGTERM in epoch" in printed
        assert status.state(cell).name == "stopped"
    assert status.state(failing).name == "pending"
    code, printed = train("--at-once", "2", *PATHS).ended(120)
    assert code == 1
    assert f"1 of 3 cells failed: {failing.path} (ended with exit code 2)" in printed
    for cell in others:
        assert contents(cell) == alone(cell, tmp_path_factory.mktemp("alone"), monkeypatch)


@pytest.mark.slow
def test_cells_of_two_processes_each_share_a_job(cells, train, edit, tmp_path_factory, monkeypatch) -> None:
    edit("epochs: 3", "epochs: 12")
    edit("drop_last: false", "drop_last: false\n      processes: 2")
    both = [grid.cell(load(), path) for path in PATHS[1:]]
    running = train(*PATHS[1:])
    worker(both[0])
    os.killpg(running.pid, signal.SIGTERM)
    code, printed = running.ended(60)
    assert code == 143, printed
    assert f"{both[0].path}: stopped by SIGTERM in epoch" in printed
    assert status.state(both[1]).name == "pending"
    _, printed = train(*PATHS[1:]).ended(240)
    assert f"{both[0].path}: continuing in epoch" in printed
    for cell in both:
        assert read_json(cell.manifest)["processes"] == 2
        assert contents(cell) == alone(cell, tmp_path_factory.mktemp("alone"), monkeypatch)


@pytest.mark.parametrize("count", [1, 2])
def test_a_signal_before_the_training_begins_leaves_no_lease_that_others_wait_for(cells, count) -> None:
    first = cells[1]
    path = places.cell_lease(first.key)
    # A fresh interpreter: what is loaded before the training begins takes the longest of that time.
    command = [*COMMAND, *PATHS[1 : 1 + count]]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.005)
    os.killpg(running.pid, signal.SIGTERM)
    _, printed = running.communicate(timeout=60)
    assert running.returncode == 143, printed
    assert not path.exists()
    assert "Traceback" not in printed


def test_checkouts_that_share_a_store_train_a_cell_once(cells, train, tmp_path_factory, monkeypatch) -> None:
    monkeypatch.setenv(places.STORE_VARIABLE, str(tmp_path_factory.mktemp("store")))
    cell, here, other = cells[2], Path.cwd(), tmp_path_factory.mktemp("other")
    shutil.copytree("data", other / "data")
    shutil.copy("params.yaml", other)
    original = run_module._publish
    second = []

    def publish_while_another_waits(*arguments) -> None:
        with monkeypatch.context() as patch:
            patch.chdir(other)
            assert status.state(cell).detail.endswith(f"for {here}")
            second.append(train("--wait", cell.path))
        end = time.monotonic() + 60
        while not second[0].said.exists() or "is working on it; waiting" not in second[0].said.read_text():
            assert time.monotonic() < end, "it does not wait"
            time.sleep(0.02)
        original(*arguments)

    monkeypatch.setattr(run_module, "_publish", publish_while_another_waits)
    assert run_cell(cell, load().runtime) == "complete"
    code, said = second[0].ended(300)
    assert code == 0, said
    expected = contents(cell)
    monkeypatch.chdir(other)
    assert contents(cell) == expected
    assert not work_folder(cell.key).exists(), "nothing was trained here"


def test_after_the_end_of_the_first_process_alone_nothing_is_trained_twice(cells, train, edit) -> None:
    edit("epochs: 3", "epochs: 12")
    orphan, other = (grid.cell(load(), path) for path in PATHS[1:])
    running = train(*PATHS[1:])
    worker(orphan)
    os.kill(running.pid, signal.SIGKILL)
    assert running.ended(60)[0] == -signal.SIGKILL
    code, printed = train(*PATHS[1:], "--wait").ended(120)
    assert code == 0, printed
    assert (work_folder(orphan.key) / "log.txt").read_text().count("epoch 12/12") == 1
    assert orphan.manifest.exists()
    assert other.manifest.exists()


def test_keys_belong_to_cells(cells, train) -> None:
    for keys, message in (
        ([cells[1].key], "expected one for each of the 2 cells, found 1"),
        ([cells[1].key, "0" * 16], "it was edited since"),
    ):
        code, printed = train(*PATHS[1:], *(f"--key={key}" for key in keys)).ended(60)
        assert code == 2
        assert message in printed
    assert not places.store().exists()


def test_nothing_asks_for_a_gpu_before_the_processes_are_forked() -> None:
    code = """
import torch
def asked(*_):
    raise SystemExit("the parent asked CUDA for something")
torch._C._cuda_getDeviceCount = torch.cuda.is_available = torch.cuda._lazy_init = asked
import mtlbench.training.processes.several
"""
    subprocess.run([sys.executable, "-c", code], check=True)
