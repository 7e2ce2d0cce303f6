import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mtlbench.system import lease as module
from mtlbench.system.errors import BusyError
from mtlbench.system.files import read_json, write_json
from mtlbench.system.lease import lease

HOLD = """
import sys, time
from pathlib import Path
from mtlbench.system.lease import lease
with lease(Path(sys.argv[1]), "x"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lease."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lease.json")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_process_refuses_and_names_the_first(tmp_path, holder) -> None:
    with pytest.raises(BusyError, match=f"demo/a: process {holder.pid} on"), lease(tmp_path / "lease.json", "demo/a"):
        pass
    assert read_json(tmp_path / "lease.json")["pid"] == holder.pid


def test_a_killed_process_loses_it_at_once(tmp_path, holder) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with lease(tmp_path / "lease.json", "x") as held:
        assert held.held
    assert not (tmp_path / "lease.json").exists()


def test_waiting_ends_when_the_other_process_does(tmp_path, holder) -> None:
    said = []
    os.kill(holder.pid, signal.SIGSTOP)
    killer = subprocess.Popen(["sh", "-c", f"sleep 1; kill -9 {holder.pid}"])
    begin = time.monotonic()

    def reap(text: str) -> None:
        said.append(text)

    # the zombie counts as gone: nobody has waited for it yet
    with lease(tmp_path / "lease.json", "x", wait=True, say=reap):
        assert 0.5 < time.monotonic() - begin < 20
    killer.wait()
    assert len(said) == 1
    assert "waiting" in said[0]


def test_a_silent_holder_elsewhere_loses_it_after_the_time(tmp_path) -> None:
    path = tmp_path / "lease.json"
    write_json(path, {"token": "t", "host": "elsewhere", "namespace": "n", "pid": 1, "started": "0"})
    with pytest.raises(BusyError, match="elsewhere"), lease(path, "x"):
        pass
    old = time.time() - module.EXPIRES - 1
    os.utime(path, (old, old))
    with lease(path, "x") as held:
        held.check()


def test_the_holder_notices_that_it_lost(tmp_path) -> None:
    path = tmp_path / "lease.json"
    with lease(path, "x") as held:
        write_json(path, {"token": "other", "host": "elsewhere", "namespace": "n", "pid": 1, "started": "0"})
        assert not held.held
        with pytest.raises(BusyError, match="took this work over"):
            held.check()
    assert read_json(path)["token"] == "other", "the loser must not remove the winner's lease"


def test_a_reused_process_number_is_another_process(tmp_path) -> None:
    path = tmp_path / "lease.json"
    write_json(path, {**module._self(), "token": "t", "started": "1"})
    with lease(path, "x") as held:
        assert held.held


def _count(folder: str, times: int) -> None:
    for _ in range(times):
        with lease(Path(folder) / "lease.json", "x", wait=True):
            number = int((Path(folder) / "n").read_text())
            time.sleep(0.001)
            (Path(folder) / "n").write_text(str(number + 1))


def test_many_processes_never_hold_it_together(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda s, sleep=time.sleep: sleep(min(s, 0.01)))
    (tmp_path / "n").write_text("0")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_count, args=(str(tmp_path), 10)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert (tmp_path / "n").read_text() == "40"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"token": 1}'])
def test_a_damaged_lease_is_held_until_it_is_silent(tmp_path, monkeypatch, text: str) -> None:
    path = tmp_path / "lease.json"
    path.write_text(text)
    found = module.holder(path)
    assert found is not None
    assert (found.pid, found.lost) == (0, False)
    with pytest.raises(BusyError, match="damaged lease file"), lease(path, "x"):
        pass
    monkeypatch.setattr(module, "EXPIRES", -1.0)
    with lease(path, "x") as held:
        assert held.held
    assert not path.exists()
