"""Jobs in several processes: their results in order, their errors raised, nothing sent that cannot be pickled."""

import os
import threading

import pytest

from mtlbench.report.workers import run_all

LOCK = threading.Lock()  # nothing that could be pickled


def jobs(count: int):
    return [lambda number=number: (number, LOCK.locked(), os.getpid()) for number in range(count)]


def test_results_come_in_the_order_of_the_jobs() -> None:
    done = run_all(jobs(20), 3)
    assert [number for number, _, _ in done] == list(range(20))
    assert os.getpid() not in {pid for *_, pid in done}


@pytest.mark.parametrize(("count", "workers"), [(5, 1), (1, 4), (0, 4)])
def test_one_process_is_enough_for_little(count: int, workers: int) -> None:
    assert run_all(jobs(count), workers) == [(number, False, os.getpid()) for number in range(count)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_job_is_raised(workers: int) -> None:
    def fail() -> None:
        raise ValueError("no room for a label")

    with pytest.raises(ValueError, match="no room for a label"):
        run_all([*jobs(2), fail], workers)
