"""A run from its start or its last checkpoint to its published result, in each of its processes."""

import shutil
from contextlib import nullcontext
from typing import Any

from mtlbench.plan import places
from mtlbench.plan.grid import Cell
from mtlbench.plan.params import Runtime
from mtlbench.runs import provenance, store
from mtlbench.runs.manifest import write as write_manifest
from mtlbench.system.errors import DivergedError
from mtlbench.system.lease import Lease
from mtlbench.training import checkpoint, loop
from mtlbench.training.build import make_trainer
from mtlbench.training.outputs import cost, write_outputs
from mtlbench.training.processes.ranks import Ranks
from mtlbench.training.saving import resume
from mtlbench.training.trainer import Trainer
from mtlbench.training.watch import watched


def take_part(ranks: Ranks, device: str, cell: Cell, runtime: Runtime, holder: Lease, record_divergence: bool) -> None:
    """Be one process of a cell's run; the first one tells how it goes and publishes the result into the store.

    Raises DivergedError unless ``record_divergence``, which keeps the failure as the result.
    """
    runtime = runtime.model_copy(update={"device": device})
    trainer, facts = make_trainer(cell, runtime, places.work_folder(cell.key), ranks)
    continued = resume(trainer)
    try:
        with watched(cell, trainer, holder, continued) if ranks.first else nullcontext():
            loop.run(trainer)
        outcome = {"status": "complete"}
    except DivergedError as error:
        if not record_divergence:
            raise
        outcome = {"status": "diverged", "reason": str(error)}
    ranks.close()
    if ranks.first:
        _publish(cell, trainer, holder, outcome, facts)


def _publish(cell: Cell, trainer: Trainer, holder: Lease, outcome: dict[str, str], facts: dict[str, Any]) -> None:
    """Write the result beside the store's entries, make it one of them and drop the checkpoints."""
    staged = store.staging(cell.key)
    try:
        outputs = write_outputs(staged, trainer, outcome["status"], cell.spec, facts)
        found = {"found": made} if (made := trainer.model.found()) else {}
        known = {**outcome, **facts, **found, **cost(trainer)}
        write_manifest(staged, cell.spec, outputs, known, provenance.record())
        holder.check()
    except BaseException:
        shutil.rmtree(staged)
        raise
    store.publish(staged, cell.key)
    checkpoint.remove(trainer.work)
