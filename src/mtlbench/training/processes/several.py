"""Several cells in one job of a cluster, one after the other, each in a process of its own.

Python and torch start once and the processes are forked from there, so a further short cell costs almost no start. A
cell that fails or crashes does not keep the others from running, and each has its own memory, for its cost table too.
"""

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence

import torch._dynamo  # every optimiser imports it: once here, instead of once in each process

from mtlbench.plan.grid import Cell
from mtlbench.system.errors import Interrupted, MtlbenchError, exit_code
from mtlbench.training.processes.signals import SIGNALS, StopSignal
from mtlbench.training.progress import note_failure


class SomeFailedError(MtlbenchError):
    """At least one of several cells failed."""


def run_each(cells: Sequence[Cell], run: Callable[[Cell], object]) -> None:
    """Call ``run(cell)`` for every cell, each in a forked process.

    A signal that asks to stop is passed on to the running process, and no further one starts: raises Interrupted once
    that process has ended. Raises SomeFailedError that names the cells that failed, after all have run; RuntimeError
    when this process has used CUDA, which no forked process could then use.
    """
    if torch.cuda.is_initialized():
        raise RuntimeError("CUDA was used before the processes of the cells are forked; they could not use it")
    failed = []
    with StopSignal() as signals:
        for cell in cells:
            code = _wait(_fork(cell, run, signals), signals)
            if signals.received is not None:
                raise Interrupted(f"stopped by {signals.received} in {cell.path}; the same command continues")
            if code < 0:  # it had no chance to say why
                note_failure(cell, f"its process {_words(code)}")
            if code != 0:
                failed.append(f"{cell.path} ({_words(code)})")
    if failed:
        raise SomeFailedError(f"{len(failed)} of {len(cells)} cells failed: {', '.join(failed)}")


def _fork(cell: Cell, run: Callable[[Cell], object], signals: StopSignal) -> int:
    """Start the process of a cell; its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    # Blocked, so that no signal falls between the fork and the new process's own answer to it.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        pid = os.fork()
        if pid == 0:
            signals.__exit__()  # until its training listens, the answer is that of the time before
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    if pid:
        return pid
    code = 1
    try:
        code = exit_code(lambda: run(cell))
    except SystemExit as stop:  # exit_when_asked
        code = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
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
        time.sleep(0.05)


def _words(code: int) -> str:
    if code > 0:
        return f"ended with exit code {code}"
    hint = " (out of memory?)" if code == -signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{hint}"
