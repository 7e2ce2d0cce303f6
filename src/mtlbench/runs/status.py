"""The state of a grid, from the files that its runs leave."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from mtlbench.plan import grid, places
from mtlbench.plan.grid import Cell
from mtlbench.plan.params import Params
from mtlbench.runs import code, derived, store
from mtlbench.runs.manifest import STOPPED, read_cell
from mtlbench.runs.shipped import shipped
from mtlbench.system.console import console
from mtlbench.system.errors import DamagedError
from mtlbench.system.files import read_json
from mtlbench.system.lease import announce, holder

#: Added to the state of a finished cell that is made with other code than today's.
OTHER_CODE = ", other code"
#: Added when it took another setting than the results that it depends on give today.
OTHER_SETTING = ", other setting"
#: The state of a trial that is at a rung, or did not go on from one.
EARLY = "stopped early"
#: Names the process of a run that is about to load its libraries, before it takes the cell's lease.
STARTING = "starting.json"
#: A run that lives but has not moved for this long (seconds) is shown as stalled.
STALLED = 300.0


@dataclass(frozen=True)
class Position:
    """Where a run is (``progress.json``): epochs done of all, seconds that one takes, its process, when it said so."""

    epoch: float
    epochs: int
    seconds_per_epoch: float
    host: str
    pid: int
    updated: float


@dataclass(frozen=True)
class State:
    """``name``: done, diverged or stopped early (then perhaps OTHER_CODE or OTHER_SETTING), damaged, starting, running,
    stalled, killed, stopped, failed, stored, shipped or pending. ``detail`` is for people.

    ``seconds``: what a finished run took, or about what a running one has left.
    """

    cell: Cell
    name: str
    detail: str = ""
    seconds: float | None = None


def state(cell: Cell) -> State:
    """Where one cell stands."""
    if cell.manifest.exists():
        return _finished(cell)
    today = derived.resolved_or_none(cell) or cell
    if store.stored(today.key) is not None:
        return State(cell, "stored", "finished before; the next run links it in without training")
    if shipped(cell.key) is not None:
        return State(cell, "shipped", "finished elsewhere; the next run takes its small files, without weights")
    key = today.whole.key
    work = places.work_folder(key)
    by = holder(places.cell_lease(key))
    progress = _position(work / "progress.json")
    if by is not None and not by.lost:
        if progress is not None and (progress.host, progress.pid) == (by.host, by.pid):
            return _running(cell, progress)
        if by.folder != str(Path.cwd()):
            return State(cell, "running", f"on {by.host}, for {by.folder}")
        return State(cell, "starting", f"on {by.host}, no step done yet")
    coming = holder(work / STARTING)
    if coming is not None and not coming.lost:
        return State(cell, "starting", f"on {coming.host}, loading its libraries")
    failure = failure_reason(cell)
    if failure is not None:
        return State(cell, "failed", failure)
    if by is not None:
        where = f"in epoch {progress.epoch:.1f} " if progress else ""
        lost = f"its process on {by.host} ended {where}without a word (killed, out of memory, a dead node)"
        return State(cell, "killed", f"{lost}; the next run continues")
    if any(work.glob("state-*.pt")):
        return State(cell, "stopped", "has a checkpoint; the next run continues")
    return State(cell, "pending")


@contextmanager
def starting(cell: Cell) -> Iterator[None]:
    """Inside the block this process tells that it is about to train the cell: loading the libraries takes seconds."""
    mark = places.work_folder((derived.resolved_or_none(cell) or cell).whole.key) / STARTING
    with suppress(OSError):
        announce(mark)
    try:
        yield
    finally:
        with suppress(OSError):  # a folder that holds more stays
            mark.unlink(missing_ok=True)
            mark.parent.rmdir()


def failure_reason(cell: Cell) -> str | None:
    """Why the last run of a cell failed, None when it did not (or what it left is damaged)."""
    with suppress(FileNotFoundError, DamagedError, KeyError, TypeError):
        key = (derived.resolved_or_none(cell) or cell).whole.key
        return str(read_json(places.work_folder(key) / "failure.json")["reason"])
    return None


def watch(params: Callable[[], Params], experiment: str | None, seconds: float) -> None:
    """Print the tables every so many seconds, on a terminal in the same place, until every run has ended or Ctrl-C.

    ``params`` are read anew for each look.
    """
    out = console()
    with suppress(KeyboardInterrupt):
        while True:
            out.clear()
            if all(one.name.startswith(_ENDED) for one in show(params(), experiment)):
                return
            time.sleep(seconds)


def show(params: Params, experiment: str | None) -> list[State]:
    """Print a table for each experiment; returns the states."""
    out = console()
    found: list[State] = []
    for name in [experiment] if experiment else params.run:
        states = [state(cell) for cell in grid.every_cell(params, name)]
        found += states
        out.print(_table(name, states))
        counts = Counter(s.name for s in states)
        line = f"{name}: " + ", ".join(f"{count} {what}" for what, count in counts.items())
        left = remaining(states)
        out.print(line if left is None else f"{line}; about {duration(left)} left at this pace")
    return found


def remaining(states: Sequence[State]) -> float | None:
    """Seconds until the grid is done if as many runs stay at work as now; None when nothing runs or nothing is known.

    A run that has not begun is expected to take as long as the finished ones did on average.
    """
    left = [s.seconds for s in states if s.name == "running" and s.seconds is not None]
    done = [s.seconds for s in states if s.name.startswith("done") and s.seconds is not None]
    waiting = sum(s.name in ("pending", "starting", "stopped", "killed") for s in states)
    if not left or (waiting and not done):
        return None
    mean = sum(done) / len(done) if done else 0.0
    return max(max(left), (sum(left) + waiting * mean) / len(left))


def duration(seconds: float) -> str:
    """Seconds in the two largest units that fit."""
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


#: States that only a person or a new Snakemake changes, with what is added to them.
_ENDED = ("done", EARLY, "diverged", "failed", "damaged")
_COLOURS = {
    "done": "green",
    "starting": "cyan",
    "running": "cyan",
    "failed": "red",
    "diverged": "red",
    "damaged": "red",
    "killed": "red",
    "stalled": "yellow",
}


def _finished(cell: Cell) -> State:
    try:
        manifest = read_cell(cell)
    except DamagedError as error:
        return State(cell, "damaged", str(error))
    name = {"complete": "done", STOPPED: EARLY}.get(manifest.status, "diverged")
    if other := derived.stale(cell, manifest):
        name, detail = name + OTHER_SETTING, other
    elif files := code.differences(manifest):
        name, detail = name + OTHER_CODE, code.remedy(cell.path, files)
    else:
        detail = manifest.reason
    return State(cell, name, detail, manifest.facts.get("seconds_total"))


def _running(cell: Cell, progress: Position) -> State:
    left = (progress.epochs - progress.epoch) * progress.seconds_per_epoch
    silent = time.time() - progress.updated
    where = f"epoch {progress.epoch:.1f}/{progress.epochs} on {progress.host}"
    if silent > STALLED:
        return State(cell, "stalled", f"{where}, has not moved for {duration(silent)}")
    return State(cell, "running", f"{where}, about {duration(left)} left", left)


def _table(name: str, states: list[State]) -> Table:
    table = Table(title=name, title_justify="left")
    for column in ("cell", "state", "detail"):
        table.add_column(column, overflow="fold", no_wrap=column == "cell")
    for one in states:
        colour = "yellow" if one.name.endswith((OTHER_CODE, OTHER_SETTING)) else _COLOURS.get(one.name, "default")
        table.add_row(one.cell.path.split("/", 1)[1], f"[{colour}]{one.name}[/]", one.detail.replace("[", r"\["))
    return table


def _position(path: Path) -> Position | None:
    """What a run last wrote of itself; None when it is absent or damaged."""
    with suppress(FileNotFoundError, DamagedError, KeyError, TypeError, ValueError):
        found = read_json(path)
        return Position(
            float(found["epoch"]), int(found["epochs"]), float(found["seconds_per_epoch"]),
            str(found["host"]), int(found["pid"]), float(found["updated"]),
        )  # fmt: skip
    return None
