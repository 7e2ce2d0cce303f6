"""One cell from its spec to its files: found done, taken from the store or the repository, or trained under a lease."""

import logging

from mtlbench.plan import places
from mtlbench.plan.grid import Cell
from mtlbench.plan.params import Runtime
from mtlbench.runs import derived, shipped, store
from mtlbench.runs.manifest import read_cell
from mtlbench.system.errors import BusyError, DivergedError
from mtlbench.system.lease import Lease, lease
from mtlbench.training import checkpoint, rung, tracking
from mtlbench.training.processes.launch import device_names, launch
from mtlbench.training.progress import event_log
from mtlbench.training.run import take_part

logger = logging.getLogger(__name__)


def run_cell(
    cell: Cell, runtime: Runtime, wait: bool = False, record_divergence: bool = False, again: bool = False
) -> str:
    """Make the cell's results exist; return "complete" or "diverged".

    Returns at once when the manifest is there; else takes a finished result of the same key from the store or from
    those committed (runs/shipped.py); else continues from the last checkpoint or starts. With ``again`` it is trained
    although it is there: the finished result stays in its folders until the new one takes its place. A cell that takes
    its setting from other results (runs/derived.py) needs them to be there.

    Raises BusyError when another process works on it or took it over (or waits for that one, with ``wait``),
    DivergedError (unless ``record_divergence``, which keeps the failure as the cell's result), Interrupted.
    """
    while again or not cell.manifest.exists():
        try:
            trained = derived.resolved(cell)
            facts = derived.facts(cell, trained)
            with lease(places.cell_lease(trained.whole.key), cell.path, wait, logger.warning) as holder:
                if again:
                    store.remove(trained.key)
                    rung.forget(trained)
                if again or not (cell.manifest.exists() or store.place(cell, trained, facts) or shipped.take(cell)):
                    _train_into_store(trained, runtime, holder, record_divergence)
                    store.place(cell, trained, facts)
                    again = False
                if trained.recipe.stop_after is None or trained.recipe.stop_after != cell.recipe.stop_after:
                    checkpoint.remove(places.work_folder(trained.whole.key))  # it does not go on
        except derived.NothingToTrainError as error:
            if not record_divergence:
                raise DivergedError(str(error)) from None
            derived.unusable(cell, error).save()
            again = False
        except BusyError:
            if not wait:
                raise
    return read_cell(cell).status


def _train_into_store(cell: Cell, runtime: Runtime, holder: Lease, record_divergence: bool) -> None:
    tracking.use(runtime.tracker)
    with event_log(cell.whole, places.work_folder(cell.whole.key)):
        devices = device_names(runtime, cell.recipe.training.processes)
        part = take_part if cell.recipe.stop_after is None else rung.take_part
        launch(devices, part, cell, runtime, holder, record_divergence)
