"""Jobs in several processes: their results, their errors, and their end."""

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import pytest

from mtlbench.system.errors import MtlbenchError
from mtlbench.system.workers import run_all, run_forked

LOCK = threading.Lock()  # nothing that could be pickled


def jobs(count: int):
    return [lambda number=number: (number, LOCK.locked(), os.getpid()) for number in range(count)]


def test_forked_results_come_in_the_order_of_the_jobs() -> None:
    done = run_forked(jobs(20), 3)
    assert [number for number, _, _ in done] == list(range(20))
    assert os.getpid() not in {pid for *_, pid in done}


@pytest.mark.parametrize(("count", "processes"), [(5, 1), (1, 4), (0, 4)])
def test_one_process_is_enough_for_little(count: int, processes: int) -> None:
    assert run_forked(jobs(count), processes) == [(number, False, os.getpid()) for number in range(count)]


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_of_a_job_is_raised(processes: int) -> None:
    with pytest.raises(ZeroDivisionError):
        run_forked([*jobs(2), lambda: 1 / 0], processes)
    with pytest.raises(ZeroDivisionError):
        list(run_all([partial(divmod, 1, 1), partial(divmod, 1, 0)], processes))


@pytest.mark.parametrize("run", [run_forked, lambda jobs, processes: list(run_all(jobs, processes))])
def test_a_process_that_dies_is_explained(run) -> None:
    with pytest.raises(MtlbenchError, match=r"most likely because memory ran out; .*runtime\.workers"):
        run([os.getpid, partial(signal.raise_signal, signal.SIGKILL), os.getpid], 2)


def test_forked_processes_end_with_a_killed_parent() -> None:
    code = """
import os, time
from mtlbench.system.workers import run_forked
run_forked([lambda: (print(os.getpid(), flush=True), time.sleep(60))] * 2, 2)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        children = [int(parent.stdout.readline()) for _ in range(2)]
        parent.kill()
    end = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{child}") for child in children):
        assert time.monotonic() < end, "they outlive their parent"
        time.sleep(0.05)
