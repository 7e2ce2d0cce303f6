"""Where else a run is written while it trains: TensorBoard, DVCLive or MLflow. Nothing that it computes depends on it.

Which one, ``runtime.tracker`` says; it is kept in the environment, so that every process of a run knows it and no
module that numbers depend on has to hand it on.
"""

import importlib.util
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mtlbench.plan import places
from mtlbench.plan.grid import Cell
from mtlbench.system.errors import ParamsError

logger = logging.getLogger(__name__)

#: The environment variable with the tracker's name.
VARIABLE = "MTLBENCH_TRACKER"
#: {tracker: the package that must be installed}.
PACKAGES = {"tensorboard": "tensorboard", "dvclive": "dvclive", "mlflow": "mlflow"}
#: What stands before the underscore in the names of an epoch's numbers, and groups them in a tracker.
_GROUPS = ("train", "val", "test", "weight")

#: log(epoch from 1, {name: number}), and what ends the record.
Log = Callable[[int, Mapping[str, float]], None]
Opened = tuple[Log, Callable[[], None]]


def use(tracker: str) -> None:
    """Have the runs of this process and of those that it starts written by ``tracker``, or by "none".

    Raises ParamsError when its package is not installed.
    """
    package = PACKAGES.get(tracker)
    if package is not None and importlib.util.find_spec(package) is None:
        raise ParamsError(
            f"runtime.tracker: the package '{package}' is not installed; `pip install '.[trackers]'` in the checkout, "
            "or set it to none"
        )
    os.environ[VARIABLE] = tracker


@contextmanager
def tracked(cell: Cell) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function for the block that writes an epoch's row of history.csv to the tracker in use.

    Whatever goes wrong in the tracker (a full disk, a server that is away) is said once, and the training goes on.
    """
    name = os.environ.get(VARIABLE, "none")
    opened: Opened | None = None

    def attempt(work: Callable[[], Any]) -> Any:
        nonlocal opened
        try:
            return work()
        except Exception as error:
            opened = None
            logger.warning(
                "%s: %s gave up (%s: %s); the training goes on", cell.path, name, type(error).__name__, error
            )

    def write(row: Mapping[str, Any]) -> None:
        if opened is not None:
            log = opened[0]
            attempt(lambda: log(int(row["epoch"]) + 1, numbers(row)))

    if name in _OPEN:
        opened = attempt(lambda: _OPEN[name](cell))
    try:
        yield write
    finally:
        if opened is not None:
            attempt(opened[1])


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """{name: number} of an epoch's row: train_loss_depth is train/loss_depth there."""
    found = {}
    for name, value in row.items():
        group, _, rest = name.partition("_")
        if name != "epoch" and isinstance(value, int | float):
            found[f"{group}/{rest}" if group in _GROUPS and rest else name] = float(value)
    return found


def _tensorboard(cell: Cell) -> Opened:
    from torch.utils.tensorboard import SummaryWriter

    writer: Any = SummaryWriter(str(places.tracked("tensorboard") / cell.path))

    def log(epoch: int, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            writer.add_scalar(name, value, epoch)
        writer.flush()

    return log, writer.close


def _dvclive(cell: Cell) -> Opened:
    from dvclive.live import Live

    folder = str(places.tracked("dvclive") / cell.path)
    live: Any = Live(dir=folder, resume=True, save_dvc_exp=False, report=None, dvcyaml=None)

    def log(epoch: int, row: Mapping[str, float]) -> None:
        live.step = epoch
        for name, value in row.items():
            live.log_metric(name, value)
        live.make_summary()

    return log, live.end


def _mlflow(cell: Cell) -> Opened:
    """The run of the cell's key in the experiment of its name, on the server of MLFLOW_TRACKING_URI or in files."""
    from mlflow.tracking import MlflowClient

    address = os.environ.get("MLFLOW_TRACKING_URI")
    if address is None:
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # a database would need more packages
        address = (places.tracked("mlflow").absolute()).as_uri()
    client = MlflowClient(tracking_uri=address)
    known = client.get_experiment_by_name(cell.experiment)
    experiment = known.experiment_id if known else client.create_experiment(cell.experiment)
    mine = client.search_runs([experiment], f"tags.`mtlbench.key` = '{cell.key}'")
    tags = {"mtlbench.key": cell.key, "mlflow.runName": cell.path}
    run = (mine[0] if mine else client.create_run(experiment, tags=tags)).info.run_id

    def log(epoch: int, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            client.log_metric(run, name, value, step=epoch)

    return log, lambda: client.set_terminated(run)


_OPEN: dict[str, Callable[[Cell], Opened]] = {"tensorboard": _tensorboard, "dvclive": _dvclive, "mlflow": _mlflow}
