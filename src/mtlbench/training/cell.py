"""One cell from its spec to its files: find it done, continue it or train it."""

import logging
import os
import shutil
import socket
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any

from tqdm import tqdm

from mtlbench.plan import keys, places
from mtlbench.plan.grid import Cell
from mtlbench.plan.params import Runtime, Training
from mtlbench.runs import provenance, store
from mtlbench.system.errors import BusyError, DivergedError
from mtlbench.system.files import read_json
from mtlbench.system.lease import Lease, lease
from mtlbench.training.build import make_trainer
from mtlbench.training.loop import Hooks, Trainer
from mtlbench.training.outputs import cost, write_outputs
from mtlbench.training.processes.ranks import Ranks
from mtlbench.training.processes.signals import StopSignal
from mtlbench.training.progress import Progress, event_log

logger = logging.getLogger(__name__)


def run_cell(cell: Cell, runtime: Runtime, wait: bool = False, record_divergence: bool = False) -> str:
    """Make the cell's results exist; return "complete" or "diverged".

    Returns at once when the manifest is there; else links in a finished result of the same key; else continues from
    the last checkpoint or starts. Raises BusyError when another process works on it or took it over (or waits for that
    one, with ``wait``), DivergedError (unless ``record_divergence``, which keeps the failure as the cell's result),
    Interrupted.
    """
    while not cell.manifest.exists():
        try:
            with lease(places.cell_lease(cell.key), cell.path, wait, logger.warning) as holder:
                if not cell.manifest.exists() and not store.place(cell):
                    _train_into_store(cell, runtime, holder, record_divergence)
                    store.place(cell)
        except BusyError:
            if not wait:
                raise
    return read_json(cell.manifest)["status"]


def _train_into_store(cell: Cell, runtime: Runtime, holder: Lease, record_divergence: bool) -> None:
    with event_log(cell, places.work_folder(cell.key)):
        processes = Training(**cell.spec["training"]).processes
        if processes == 1:
            _make_result(cell, runtime, holder, record_divergence)
        else:
            from mtlbench.training.processes.launch import device_names, launch

            launch(device_names(runtime, processes), _help_make_result, cell, runtime, holder, record_divergence)


def _make_result(
    cell: Cell, runtime: Runtime, holder: Lease, record_divergence: bool, ranks: Ranks | None = None
) -> None:
    work = places.work_folder(cell.key)
    trainer, facts = make_trainer(cell, runtime, work, ranks)
    try:
        _train(cell, trainer, holder)
        outcome = {"status": "complete"}
    except DivergedError as error:
        if not record_divergence:
            raise
        outcome = {"status": "diverged", "reason": str(error)}
    if ranks is not None:
        ranks.close()
    staged = store.staging(cell.key)
    try:
        outputs = write_outputs(staged, trainer, outcome["status"])
        keys.write_manifest(staged, cell.spec, outputs, **outcome, **facts, **cost(trainer), **provenance.record())
        holder.check()
    except BaseException:
        shutil.rmtree(staged)
        raise
    store.publish(staged, cell.key)
    for state in work.glob("state-*.pt"):
        state.unlink()


def _help_make_result(
    ranks: Ranks, device: str, cell: Cell, runtime: Runtime, holder: Lease, record_divergence: bool
) -> None:
    """One process of a data parallel cell: the first makes the result, the others compute with it."""
    runtime = runtime.model_copy(update={"device": device})
    if ranks.rank == 0:
        _make_result(cell, runtime, holder, record_divergence, ranks)
        return
    trainer, _ = make_trainer(cell, runtime, places.work_folder(cell.key), ranks)
    trainer.resume()
    with suppress(DivergedError):  # the first process tells
        trainer.run()
    ranks.close()


def _train(cell: Cell, trainer: Trainer, holder: Lease) -> None:
    pid = os.getpid() if trainer.ranks is None else os.getppid()  # the process that holds the lease
    place = f"on {socket.gethostname()}, process {pid}"
    if trainer.resume():
        logger.info("%s: continuing in epoch %d after step %d %s", cell.path, trainer.epoch + 1, trainer.step, place)
    else:
        logger.info("%s: starting %s", cell.path, place)
    epochs = trainer.training.epochs
    with ExitStack() as stack:
        signals = stack.enter_context(StopSignal())
        quiet = not sys.stderr.isatty()
        bar = stack.enter_context(
            tqdm(total=epochs, initial=trainer.epoch, desc=cell.path, disable=quiet, unit="epoch")
        )
        progress = Progress(cell, epochs, trainer.work / "progress.json", trainer.epoch, pid)

        def epoch_done(row: Mapping[str, Any]) -> None:
            bar.update()
            text = " ".join(f"{task} {row[f'train_loss_{task}']:.4f}" for task in trainer.tasks)
            bar.set_postfix_str(text)
            logger.info("%s: epoch %d/%d, training loss: %s", cell.path, row["epoch"] + 1, epochs, text)

        def advance(epoch: int, step: int, steps: int) -> None:
            if progress.advance(epoch + step / steps):
                holder.check()

        trainer.hooks = Hooks(lambda: signals.received, advance, epoch_done, holder.check)
        trainer.run()
