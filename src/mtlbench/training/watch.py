"""Watching a run: a bar on a terminal, lines in the log, its position in a file, and requests to stop."""

import logging
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from mtlbench.plan.grid import Cell
from mtlbench.system.console import progress_bar
from mtlbench.system.lease import Lease
from mtlbench.training.processes.signals import StopSignal
from mtlbench.training.progress import Progress
from mtlbench.training.tracking import tracked
from mtlbench.training.trainer import Hooks, Trainer

logger = logging.getLogger(__name__)


@contextmanager
def watched(cell: Cell, trainer: Trainer, holder: Lease, continued: bool) -> Iterator[None]:
    """Inside the block the trainer tells where it is, stops when asked and gives up when its lease is lost."""
    pid = trainer.ranks.starter
    place = f"on {socket.gethostname()}, process {pid}"
    if continued:
        logger.info("%s: continuing in epoch %d after step %d %s", cell.path, trainer.epoch + 1, trainer.step, place)
    else:
        logger.info("%s: starting %s", cell.path, place)
    epochs = cell.recipe.stop_after or trainer.training.epochs
    with ExitStack() as stack:
        signals = stack.enter_context(StopSignal())
        show = stack.enter_context(progress_bar(cell.path)) if sys.stderr.isatty() else None
        track = stack.enter_context(tracked(cell))
        if show is not None:
            show(trainer.epoch, epochs)
        progress = Progress(cell, epochs, trainer.work / "progress.json", trainer.epoch, pid)

        def epoch_done(row: Mapping[str, Any]) -> None:
            text = " ".join(f"{task} {row[f'train_loss_{task}']:.4f}" for task in trainer.tasks)
            if show is not None:
                show(row["epoch"] + 1, epochs, text)
            logger.info("%s: epoch %d/%d, training loss: %s", cell.path, row["epoch"] + 1, epochs, text)
            track(row)

        def advance(epoch: int, step: int, steps: int) -> None:
            if progress.advance(epoch + step / steps):
                holder.check()

        trainer.hooks = Hooks(lambda: signals.received, advance, epoch_done, holder.check)
        yield
