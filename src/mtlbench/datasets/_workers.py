"""Running many small jobs in several processes with bounded memory."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from mtlbench.errors import DataError

Job = TypeVar("Job", bound=Callable[[], Any])


def run_all(jobs: Sequence[Job], processes: int) -> Generator[tuple[Job, Any], None, None]:
    """Yield (job, result) as jobs end. Few jobs wait at a time; the first error stops all and is raised."""
    if processes <= 1:
        for job in jobs:
            yield job, job()
        return
    # Fresh interpreters, not forks: the parent may hold threads and open HDF5 files.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(processes, max(1, len(jobs))), context, initializer=_end_with_parent)
    try:
        yield from _drain(pool, jobs, 2 * processes)
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process died, most likely because memory ran out; run the same command again with fewer jobs, "
            "it continues from the images that are already there"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _drain(pool: ProcessPoolExecutor, jobs: Sequence[Job], ahead: int) -> Iterator[tuple[Job, Any]]:
    running: dict[Future, Job] = {}
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


def _end_with_parent() -> None:
    """Leave when the parent is killed: a pool's workers would wait for ever for their next job."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
