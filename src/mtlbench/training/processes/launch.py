"""The processes of a run: one is this process itself; several are started, watched and ended together."""

import logging
import multiprocessing
import os
import platform
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch
import torch.distributed as dist

from mtlbench.plan.params import Runtime
from mtlbench.system.errors import DivergedError, Interrupted, MtlbenchError, ParamsError
from mtlbench.system.workers import end_with_parent
from mtlbench.training import device as devices
from mtlbench.training.processes.connected import Connected
from mtlbench.training.processes.ranks import ALONE
from mtlbench.training.processes.signals import SIGNALS, StopSignal

#: An exchange that takes longer means that a process hangs: an error on the others.
TIMEOUT = timedelta(minutes=10)
#: Seconds between the first failure and the end of the other processes, in which the cause may show.
GRACE = 2.0


def device_names(runtime: Runtime, count: int) -> list[str]:
    """``runtime.device`` of each of ``count`` processes; raises ParamsError where that many cannot run."""
    if count == 1:
        return [runtime.device]
    device = devices.choose(runtime.device)
    if runtime.compile:
        raise ParamsError(f"runtime.compile: expected false with training.processes: {count}, found true")
    if device.type == "cpu":
        return ["cpu"] * count
    if device.index is not None:
        raise ParamsError(
            f"runtime.device: '{runtime.device}' is one GPU, but training.processes is {count}; set it to auto or cuda"
        )
    found = torch.cuda.device_count()
    if found < count:
        raise ParamsError(f"training.processes: expected at most the {found} GPUs that are free here, found {count}")
    return [f"cuda:{rank}" for rank in range(count)]


def launch(names: Sequence[str], function: Callable[..., None], *arguments: Any) -> None:
    """Call ``function(ranks, device name, *arguments)`` in one process for each device; return when all are done.

    For a single device this process calls it itself. Of several:
    ``function`` and ``arguments`` must be picklable. What the first process logs is logged here, and a signal to stop
    is passed on to it. An error of a process ends all and is raised here (as MtlbenchError unless it is one already),
    also the death of a process; they never outlive this one, however it ends.
    """
    if len(names) == 1:
        function(ALONE, names[0], *arguments)
        return
    context = multiprocessing.get_context("spawn")
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    level = logging.getLogger("mtlbench").getEffectiveLevel()
    workers: list[_Worker] = []
    with StopSignal() as signals:
        try:
            for rank in range(len(names)):
                here, there = context.Pipe()
                start = (rank, list(names), store.port, there, level, function, arguments)
                process = context.Process(target=_work, args=start, daemon=True)
                process.start()
                there.close()
                workers.append(_Worker(process, here))
            _watch(workers, signals)
        finally:
            for worker in workers:
                worker.process.kill()
                worker.process.join()


@dataclass
class _Worker:
    """A process as its parent sees it; ``reports`` is [None] or [its error] when it has come to its end."""

    process: BaseProcess
    connection: Connection
    reports: list[MtlbenchError | None] = field(default_factory=list)

    def read(self) -> None:
        """Take in what it sent: log records, and at last its report."""
        try:
            while self.connection.poll():
                message = self.connection.recv()
                if isinstance(message, logging.LogRecord):
                    logging.getLogger(message.name).handle(message)
                else:
                    self.reports.append(message)
        except (EOFError, OSError):
            pass  # it is gone; the exit code says how


def _watch(workers: Sequence[_Worker], signals: StopSignal) -> None:
    """Until all processes have ended, or one has failed or the first has finished and the others had their time."""
    errors: list[MtlbenchError] = []
    told, deadline = False, float("inf")
    while True:
        ended = [worker for worker in workers if not worker.process.is_alive()]
        for worker in workers:
            known = len(worker.reports)
            worker.read()
            errors += [error for error in worker.reports[known:] if error is not None]
        silent = [worker for worker in ended if not worker.reports]
        if errors or silent or workers[0].reports:
            deadline = min(deadline, time.monotonic() + GRACE)
        if len(ended) == len(workers) or time.monotonic() > deadline:
            break
        if signals.received and not told:
            told = True
            workers[0].connection.send(signals.received)
        running = [worker for worker in workers if worker not in ended]
        wait([worker.process.sentinel for worker in running], 0.1)
    if silent and signals.received:
        raise Interrupted(f"stopped by {signals.received}; the same command continues from the last checkpoint, if any")
    if silent:
        raise MtlbenchError(_death(workers.index(silent[0]), len(workers), silent[0].process.exitcode))
    if errors:
        raise errors[0]


def _death(rank: int, count: int, code: int | None) -> str:
    how = f"was ended by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with code {code}"
    return (
        f"process {rank + 1} of {count} of this training run {how} (out of memory?), so the others were ended too. "
        "The same command continues from the last checkpoint."
    )


def _work(
    rank: int,
    names: Sequence[str],
    port: int,
    connection: Connection,
    level: int,
    function: Callable[..., None],
    arguments: Sequence[Any],
) -> None:
    """The life of one process."""
    end_with_parent()
    for number in SIGNALS:  # the parent passes them on
        signal.signal(number, signal.SIG_IGN)
    if rank == 0:
        logger = logging.getLogger("mtlbench")
        logger.setLevel(level)
        logger.addHandler(_ToParent(connection))  # type: ignore[arg-type]
    report: MtlbenchError | None = None
    try:
        _connect(rank, names, port)
        asked = _Asked(connection)
        function(Connected(rank, len(names), asked), names[rank], *arguments)
    except (DivergedError, Interrupted) as error:
        report = error if rank == 0 else None  # all processes come to this together
    except MtlbenchError as error:
        report = error
    except BaseException as error:
        traceback.print_exc()
        report = MtlbenchError(f"process {rank + 1} of {len(names)}: {type(error).__name__}: {error}")
    connection.send(report)


def _connect(rank: int, names: Sequence[str], port: int) -> None:
    if platform.system() == "Linux":  # the host's name need not resolve: all are on this machine
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    backend = "gloo"
    if torch.device(names[rank]).type == "cuda":
        torch.cuda.set_device(names[rank])
        backend = "cpu:gloo,cuda:nccl"
    store = dist.TCPStore("127.0.0.1", port, is_master=False, timeout=TIMEOUT)  # type: ignore[attr-defined]
    dist.init_process_group(backend, store=store, rank=rank, world_size=len(names), timeout=TIMEOUT)


class _Asked:
    """The name of the signal that the parent passed on, or None."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.name: str | None = None

    def __call__(self) -> str | None:
        if self.name is None and self.connection.poll():
            self.name = self.connection.recv()
        return self.name


class _ToParent(QueueHandler):
    """Sends log records through a connection."""

    def enqueue(self, record: logging.LogRecord) -> None:
        self.queue.send(record)  # type: ignore[attr-defined]
