"""Several cells in one job of a cluster, so many at a time, each in a process of its own.

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
from mtlbench.system.words import many
from mtlbench.training.processes.signals import SIGNALS, StopSignal
from mtlbench.training.progress import note_failure


class SomeFailedError(MtlbenchError):
    """At least one of several cells failed."""


def run_each(cells: Sequence[Cell], run: Callable[[Cell], object], at_once: int = 1) -> None:
    """Call ``run(cell)`` for every cell, each in a forked process, ``at_once`` of them at the same time.

    A signal that asks to stop is passed on to the running processes, and no further one starts: raises Interrupted once
    they have ended. Raises SomeFailedError that names the cells that failed, after all have run; RuntimeError when this
    process has used CUDA, which no forked process could then use.
    """
    if torch.cuda.is_initialized():
        raise RuntimeError("CUDA was used before the processes of the cells are forked; they could not use it")
    failed: dict[str, str] = {}
    waiting, running = list(cells), dict[int, Cell]()
    with StopSignal() as signals:
        while waiting or running:
            while waiting and len(running) < at_once and signals.received is None:
                cell = waiting.pop(0)
                running[_fork(cell, run, signals)] = cell
            ended = [(running.pop(pid), code) for pid, code in _wait(list(running), signals).items()]
            if signals.received is not None:
                where = "in " + ", ".join(cell.path for cell, _ in ended) if ended else f"before {waiting[0].path}"
                raise Interrupted(f"stopped by {signals.received} {where}; the same command continues")
            for cell, code in ended:
                if code < 0:  # it had no chance to say why
                    note_failure(cell, f"its process {_words(code)}")
                if code != 0:
                    failed[cell.path] = f"{cell.path} ({_words(code)})"
    if failed:
        named = [failed[cell.path] for cell in cells if cell.path in failed]
        raise SomeFailedError(f"{len(failed)} of {many(len(cells), 'cell')} failed: {', '.join(named)}")


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


def _wait(processes: Sequence[int], signals: StopSignal) -> dict[int, int]:
    """{process: exit code (minus a signal's number)} of what has ended, at least one of them if there are any.

    A request to stop that arrives here is passed on to all of them, and then all have ended.
    """
    codes: dict[int, int] = {}
    passed = False
    while len(codes) < len(processes) and (not codes or signals.received is not None):
        left = [pid for pid in processes if pid not in codes]
        if signals.received is not None and not passed:
            passed = True
            for pid in left:
                # Always TERM: a process may have had its own SIGINT from the terminal; a second one is not graceful.
                os.kill(pid, signal.SIGTERM)
        for pid in left:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                codes[pid] = os.waitstatus_to_exitcode(status)
        if not codes or signals.received is not None:
            time.sleep(0.05)
    return codes


def _words(code: int) -> str:
    if code > 0:
        return f"ended with exit code {code}"
    hint = " (out of memory?)" if code == -signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{hint}"
