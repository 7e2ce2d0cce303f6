"""A trial as far as a rung: the beginning of a whole run, which saves its state there and may go on from it.

It is the whole run in everything (schedule, random numbers, states, lease), so a trial that goes on has the bits of one
that was never stopped; where its state is lost, it starts anew. The test images are not looked at.
"""

import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from mtlbench.plan import places
from mtlbench.plan.grid import Cell
from mtlbench.plan.params import Runtime
from mtlbench.runs import provenance, store
from mtlbench.runs.manifest import STOPPED
from mtlbench.runs.manifest import write as write_manifest
from mtlbench.system.errors import DivergedError
from mtlbench.system.files import write_json, write_text
from mtlbench.system.lease import Lease
from mtlbench.training import checkpoint, history, loop
from mtlbench.training.build import make_trainer
from mtlbench.training.outputs import cost
from mtlbench.training.processes.ranks import Ranks
from mtlbench.training.saving import resume, save
from mtlbench.training.trainer import Trainer
from mtlbench.training.watch import watched


class _ReachedError(Exception):
    """The run is between two epochs, where it stops."""


def take_part(ranks: Ranks, device: str, cell: Cell, runtime: Runtime, holder: Lease, record_divergence: bool) -> None:
    """Be one process of a run that stops at a rung; the rest is as in ``run.py``."""
    runtime = runtime.model_copy(update={"device": device})
    whole, epochs = cell.whole, cell.recipe.stop_after
    assert epochs is not None
    trainer, facts = make_trainer(whole, runtime, places.work_folder(whole.key), ranks)
    continued = resume(trainer)
    outcome = {"status": STOPPED, "reason": f"after {epochs} of {trainer.training.epochs} epochs"}
    try:
        with watched(cell, trainer, holder, continued) if ranks.first else nullcontext():
            _run(trainer, epochs)
    except DivergedError as error:
        if not record_divergence:
            raise
        outcome = {"status": "diverged", "reason": str(error)}
    ranks.close()
    if ranks.first:
        _publish(cell, trainer, holder, epochs, outcome, facts)


def forget(cell: Cell) -> None:
    """Remove the state from which a run that stops at a rung would go on; nothing for any other cell."""
    if cell.recipe.stop_after is not None:
        checkpoint.remove(places.work_folder(cell.whole.key))


def _run(trainer: Trainer, epochs: int) -> None:
    """Train until so many epochs are done, unless they are, and save there."""
    told = trainer.hooks.epoch_done

    def epoch_done(row: Mapping[str, Any]) -> None:
        told(row)
        if trainer.epoch >= epochs:
            save(trainer)
            raise _ReachedError

    trainer.hooks.epoch_done = epoch_done
    if trainer.epoch < epochs:
        try:
            loop.run(trainer)
        except _ReachedError:
            return


def _publish(
    cell: Cell, trainer: Trainer, holder: Lease, epochs: int, outcome: dict[str, str], facts: dict[str, Any]
) -> None:  # fmt: skip
    """Make the record of these epochs an entry of the store. The newest state stays, unless the run diverged."""
    staged = store.staging(cell.key)
    rows = trainer.rows[:epochs]  # a state may be further than a result that was lost
    try:
        write_text(staged / "history.csv", history.to_csv(rows))
        if outcome["status"] == STOPPED:
            best = history.best_epoch(rows, "val", trainer.metrics)
            write_json(staged / "metrics.json", {"protocol": trainer.protocol.model_dump(), "best_epoch": best})
        outputs = {path.name: path for path in sorted(staged.iterdir())}
        write_manifest(staged, cell.spec, outputs, {**outcome, **facts, **cost(trainer)}, provenance.record())
        holder.check()
    except BaseException:
        shutil.rmtree(staged)
        raise
    store.publish(staged, cell.key)
    (checkpoint.keep_newest if outcome["status"] == STOPPED else checkpoint.remove)(trainer.work)
