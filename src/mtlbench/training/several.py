"""Several cells in one job of a cluster, one after the other, each in a process of its own.

Python and torch start once and the processes are forked from there, so a further short cell costs no start. A cell that
fails or crashes does not keep the others from running, and each has its own memory, for its cost table too.
"""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

from mtlbench.errors import Interrupted, MtlbenchError
from mtlbench.grid import Cell
from mtlbench.training.signals import StopSignal

logger = logging.getLogger(__name__)


class SomeFailedError(MtlbenchError):
    """At least one of several cells failed."""


def run_each(cells: Sequence[Cell], run: Callable[[Cell], object]) -> None:
    """Call ``run(cell)`` for every cell in a forked process.

    No CUDA may have been used before. A signal that asks to stop is passed on to the running process, and no further
    one starts: raises Interrupted. Raises SomeFailedError that names the cells that failed, after all have run.
    """
    failed = []
    with StopSignal() as signals:
        for cell in cells:
            code = _wait(_fork(cell, run, signals), signals)
            if signals.received is not None:
                raise Interrupted(f"stopped by {signals.received} in {cell.path}; the same command continues")
            if code != 0:
                failed.append(f"{cell.path} ({_words(code)})")
    if failed:
        raise SomeFailedError(f"{len(failed)} of {len(cells)} cells failed: {', '.join(failed)}")


def _fork(cell: Cell, run: Callable[[Cell], object], signals: StopSignal) -> int:
    """Start the process of a cell; its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    signals.__exit__()  # until the training begins a signal simply ends the process
    code = 1
    try:
        run(cell)
        code = 0
    except MtlbenchError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    except BaseException as error:
        logger.exception("%s: %s", cell.path, error)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(pid: int, signals: StopSignal) -> int:
    """The exit code of a process (minus a signal's number); a request to stop that arrives here is passed on to it."""
    passed = False
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if signals.received is not None and not passed:
            # Always TERM: the process may have had its own SIGINT from the terminal, and a second one is not graceful.
            os.kill(pid, signal.SIGTERM)
            passed = True
        time.sleep(0.1)


def _words(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"killed by {signal.Signals(-code).name}"
