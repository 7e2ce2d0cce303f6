"""Independent parts of a report, made by several processes."""

import multiprocessing
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch

#: What the forked processes work on: they have it from their birth, so nothing large is sent to them.
_jobs: Sequence[Callable[[], Any]] = ()


def run_all(jobs: Sequence[Callable[[], Any]], workers: int) -> list[Any]:
    """The results of all jobs, in their order; each result must be picklable, the jobs need not be.

    With more than one worker they run in forked processes, where the system has these; an error of a job is raised
    here.
    """
    global _jobs
    workers = min(workers, len(jobs))
    if workers < 2 or "fork" not in multiprocessing.get_all_start_methods():
        return [job() for job in jobs]
    _jobs = jobs
    try:
        with warnings.catch_warnings():
            # Python 3.12 warns of forks beside threads: those of torch and BLAS, which the children do not use.
            warnings.simplefilter("ignore", DeprecationWarning)
            context = multiprocessing.get_context("fork")
            with ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool:
                return list(pool.map(_run, range(len(jobs))))
    finally:
        _jobs = ()


def _run(number: int) -> Any:
    return _jobs[number]()
