"""Saving a run's state, and going on from it."""

import logging
import time

from mtlbench.training import checkpoint, state
from mtlbench.training.trainer import Trainer
from mtlbench.training.usable import problem

logger = logging.getLogger(__name__)


def save(trainer: Trainer) -> None:
    """Write a checkpoint of the next position."""
    if not trainer.ranks.first:
        return
    trainer.hooks.check()
    checkpoint.save(trainer.work, trainer.epoch, trainer.step, state.take(trainer))
    trainer.saved_at = time.monotonic()


def resume(trainer: Trainer) -> bool:
    """Continue from the newest checkpoint in ``work`` that is whole, of this run and fits; False without one."""
    with trainer.ranks.first_ahead():  # it sets aside what cannot be used
        found = checkpoint.load(trainer.work, trainer.device, lambda content: problem(trainer, content))
    if found is None:
        return False
    trainer.seconds_before = found["seconds"]
    changed = state.put(trainer, found)
    if changed and trainer.ranks.first:
        logger.warning("continued with another %s than before: the manifest will tell both", ", ".join(changed))
    return True
