import inspect
import re
import time
from pathlib import Path

import pytest
from rich.console import Console

from mtlbench.plan import grid, places
from mtlbench.plan.params import load
from mtlbench.runs import status
from mtlbench.runs.status import EARLY, OTHER_CODE, OTHER_SETTING, State, duration, remaining, state
from mtlbench.system import lease
from mtlbench.system.files import write_json

CELL = "tiny/segnet_split/dwa/seed0"


@pytest.fixture
def cell(project) -> grid.Cell:
    return grid.cell(load(), CELL)


@pytest.fixture
def work(cell) -> Path:
    return places.RESUME / cell.key


def progress(work: Path, **changes) -> None:
    """What a run writes that is 1.5 epochs into 3."""
    me = lease._self()
    base = {"epoch": 1.5, "epochs": 3, "seconds_per_epoch": 40.0, "host": me["host"], "pid": me["pid"]}
    write_json(work / "progress.json", {**base, "updated": time.time(), **changes})


def other_holder(path: Path, **changes) -> None:
    """A lease of this very process, changed."""
    write_json(path, {**lease._self(), "token": "t", "folder": str(Path.cwd()), **changes})


def test_nothing_there_is_pending(cell) -> None:
    assert state(cell).name == "pending"


def test_a_live_run_shows_epoch_place_and_time_left(cell, work) -> None:
    with lease.lease(places.cell_lease(cell.key), CELL):
        assert state(cell).name == "starting"
        progress(work)
        found = state(cell)
        assert (found.name, found.seconds) == ("running", 60.0)
        assert "epoch 1.5/3" in found.detail
        assert "about 1 min 00 s left" in found.detail
    progress(work, pid=0)
    with lease.lease(places.cell_lease(cell.key), CELL):
        assert state(cell).name == "starting", "the progress is an earlier process's"


def test_a_job_that_loads_its_libraries_is_starting_until_it_runs_or_dies(cell, work) -> None:
    with status.starting(cell):
        assert state(cell).name == "starting"
        assert remaining([State(cell, "done", "", 100.0), State(cell, "running", "", 30.0), state(cell)]) == 130.0
    assert state(cell).name == "pending"  # the lease tells from here on
    assert not work.exists()
    other_holder(work / status.STARTING, started="0")
    assert state(cell).name == "pending"


def test_a_live_run_that_does_not_move_is_stalled(cell, work) -> None:
    with lease.lease(places.cell_lease(cell.key), CELL):
        progress(work, updated=time.time() - 400)
        assert state(cell).name == "stalled"
        assert "has not moved for 6 min 40 s" in state(cell).detail


def test_a_run_whose_process_is_gone_was_killed(cell, work) -> None:
    progress(work)
    other_holder(places.cell_lease(cell.key), started="0")
    found = state(cell)
    assert found.name == "killed"
    assert "ended in epoch 1.5 without a word" in found.detail


def test_a_run_of_another_checkout_with_the_same_store_says_where(cell) -> None:
    other_holder(places.cell_lease(cell.key), folder="/home/ada/mtlbench")
    found = state(cell)
    assert found.name == "running"
    assert found.detail.endswith("for /home/ada/mtlbench")


def test_a_silent_run_on_another_node_was_killed(cell, work, monkeypatch) -> None:
    path = places.cell_lease(cell.key)
    other_holder(path, host="node7")
    assert state(cell).name == "starting"
    monkeypatch.setattr(lease, "EXPIRES", -1.0)
    assert state(cell).name == "killed"
    assert "on node7" in state(cell).detail


def test_a_failure_shows_its_reason_and_a_checkpoint_that_it_continues(cell, work) -> None:
    work.mkdir(parents=True)
    (work / "state-000001-000000.0123456789abcdef.pt").touch()
    assert state(cell).name == "stopped"
    write_json(work / "failure.json", {"cell": CELL, "reason": "no room"})
    assert (state(cell).name, state(cell).detail) == ("failed", "no room")


def test_done_diverged_and_stored(cell) -> None:
    entry = places.store() / cell.key
    write_json(entry / cell.manifest.name, {})
    assert state(cell).name == "stored"
    record = {"key": cell.key, "spec": cell.spec, "outputs": {}, "data": {}, "dataset": {}, "seconds_total": 5.0}
    write_json(cell.manifest, {**record, "status": "complete"})
    assert (state(cell).name, state(cell).seconds) == ("done", 5.0)
    write_json(cell.manifest, {**record, "status": "diverged", "reason": "NaN at epoch 1"})
    assert (state(cell).name, state(cell).detail) == ("diverged", "NaN at epoch 1")


def test_the_time_left_counts_waiting_runs_at_the_pace_of_finished_ones(cell) -> None:
    done, running = State(cell, "done", "", 100.0), State(cell, "running", "", 30.0)
    waiting = State(cell, "pending")
    assert remaining([done]) is None
    assert remaining([running, waiting]) is None, "nothing is known about a run that has not begun"
    assert remaining([running, running]) == 30.0
    assert remaining([done, running, running, waiting, waiting, waiting]) == (2 * 30 + 3 * 100) / 2
    assert remaining([done, running, running, waiting]) == 80.0


def test_the_table_shows_every_cell(project, capsys) -> None:
    status.show(load(), None)
    printed = capsys.readouterr().out
    assert printed.count("pending") == 5 + 1
    assert "tiny: 5 pending" in printed


def test_a_name_stays_in_one_piece_beside_long_details(project, capsys) -> None:
    cells = grid.cells(load(), "tiny")
    table = status._table("tiny", [status.State(cell, "done, other code", "models/x.py, " * 20) for cell in cells])
    Console(width=80).print(table)
    printed = capsys.readouterr().out
    assert all(cell.path.removeprefix("tiny/") in printed for cell in cells)


def test_watching_ends_when_every_run_has_ended(project, monkeypatch, capsys) -> None:
    looks: list[int] = []

    def finish_one(seconds: float) -> None:
        """A run ends between two looks."""
        assert seconds == 2
        cells = [one for one in grid.every_cell(load(), "tiny") if not one.manifest.exists()]
        looks.append(len(cells))
        record = {"key": cells[0].key, "spec": cells[0].spec, "outputs": {}, "data": {}, "dataset": {}}
        ending = "complete" if len(cells) > 1 else "diverged"
        write_json(cells[0].manifest, {**record, "seconds_total": 5.0, "status": ending})

    monkeypatch.setattr(status.time, "sleep", finish_one)
    monkeypatch.setattr(status.code, "differences", lambda manifest: ["models/x.py"])
    status.watch(load, None, 2)
    assert looks == [5, 4, 3, 2, 1]
    assert capsys.readouterr().out.splitlines()[-1] == "tiny: 4 done, other code, 1 diverged, other code"


def test_the_documentation_explains_every_state(repository: Path) -> None:
    text = (repository / "docs/cluster.md").read_text(encoding="utf-8").split("says of each cell:")[1].split("## ")[0]
    explained = {name for names in re.findall(r"^\| (.+?) \|", text, re.M) for name in names.split(", ")}
    added = {words.removeprefix(", ") for words in (OTHER_CODE, OTHER_SETTING)}
    names = set(re.findall(r'State\(cell, "(\w+)"', inspect.getsource(status))) | {"done", "diverged", EARLY} | added
    assert explained - {"state", "---"} == names


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (59.9, "59 s"), (60, "1 min 00 s"), (3599, "59 min 59 s"), (7260, "2 h 01 min")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"epoch": "x"}', '{"reason": 1}'])
def test_damaged_files_of_a_run_are_no_traceback(cell, work, text: str) -> None:
    work.mkdir(parents=True)
    (work / "progress.json").write_text(text)
    (work / "failure.json").write_text(text)
    assert state(cell).name in ("pending", "failed")
    with lease.lease(places.cell_lease(cell.key), CELL):
        assert state(cell).name == "starting"
    other_holder(places.cell_lease(cell.key), started="0")
    assert state(cell).name in ("killed", "failed")
