"""Running independent jobs in several processes that end with the one that started them."""

import contextlib
import multiprocessing
import os
import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from mtlbench.system.errors import MtlbenchError

Job = TypeVar("Job", bound=Callable[[], Any])

#: What forked processes work on: a fork inherits it, so nothing large is sent to them.
_inherited: Sequence[Callable[[], Any]] = ()


def run_all(jobs: Sequence[Job], processes: int) -> Generator[tuple[Job, Any], None, None]:
    """Yield (job, result) as jobs end. Few jobs wait at a time; the first error stops all and is raised.

    The processes are fresh interpreters, so jobs must be picklable; this one may hold threads and open HDF5 files.
    """
    if processes <= 1:
        for job in jobs:
            yield job, job()
        return
    with _pool(min(processes, max(1, len(jobs))), "spawn", end_with_parent) as pool:
        yield from _drain(pool, jobs, 2 * processes)


def run_forked(jobs: Sequence[Callable[[], Any]], processes: int) -> list[Any]:
    """The results of all jobs in their order, from forked processes where the system has these; errors are raised.

    Only results must be picklable: the jobs may hold whatever is in memory. They run torch on one thread.
    """
    global _inherited
    processes = min(processes, len(jobs))
    if processes < 2 or "fork" not in multiprocessing.get_all_start_methods():
        return [job() for job in jobs]
    _inherited = jobs
    try:
        with warnings.catch_warnings(), _pool(processes, "fork", _begin_forked) as pool:
            # Python 3.12 warns of forks beside threads: those of torch and BLAS, which the children do not use.
            warnings.simplefilter("ignore", DeprecationWarning)
            return list(pool.map(_run_inherited, range(len(jobs))))
    finally:
        _inherited = ()


def run_apart(job: Callable[[], Any]) -> Any:
    """The result of a picklable job from a forked process of its own: a C library that crashes ends only that process.

    Raises ChildProcessError when it did. Where the system cannot fork, the job runs here.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        return job()
    context = multiprocessing.get_context("fork")
    try:
        with warnings.catch_warnings(), ProcessPoolExecutor(1, context, end_with_parent) as pool:
            warnings.simplefilter("ignore", DeprecationWarning)  # see run_forked
            return pool.submit(job).result()
    except BrokenProcessPool:
        raise ChildProcessError("the process that read it crashed") from None


def end_with_parent() -> None:
    """Make this process leave when its parent is killed: a pool's workers would wait for ever for their next job."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _pool(processes: int, start: str, initializer: Callable[[], None]) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context(start), initializer)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise MtlbenchError(
            "a worker process died, most likely because memory ran out; run the same command again with fewer "
            "(runtime.workers in params.yaml)"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _drain(pool: ProcessPoolExecutor, jobs: Sequence[Job], ahead: int) -> Iterator[tuple[Job, Any]]:
    running: dict[Future[Any], Job] = {}
    waiting = iter(jobs)
    while True:
        for job in waiting:
            running[pool.submit(job)] = job
            if len(running) >= ahead:
                break
        if not running:
            return
        ready, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in ready:
            yield running.pop(future), future.result()


def _begin_forked() -> None:
    import torch

    torch.set_num_threads(1)  # the threads of the parent did not come along
    end_with_parent()


def _run_inherited(number: int) -> Any:
    return _inherited[number]()
