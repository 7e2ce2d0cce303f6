"""The state of a grid, from the files that its runs leave."""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mtlbench import grid
from mtlbench.files import read_json
from mtlbench.grid import Cell
from mtlbench.params import Params

#: A run that has not moved for this long is shown as stalled.
STALLED = 300.0


@dataclass(frozen=True)
class State:
    """``name``: done, diverged, running, stopped (can continue), failed or pending; ``detail`` for people."""

    cell: Cell
    name: str
    detail: str = ""
    left: float | None = None


def state(cell: Cell) -> State:
    """Where one cell stands."""
    if cell.manifest.exists():
        manifest = read_json(cell.manifest)
        return State(cell, "done" if manifest["status"] == "complete" else "diverged", manifest.get("reason", ""))
    work = Path("work/cells") / cell.key
    progress = _read(work / "progress.json")
    if (Path("work/leases") / f"{cell.key}.json").exists() and progress is not None:
        left = (progress["epochs"] - progress["epoch"]) * progress["seconds_per_epoch"]
        silent = time.time() - progress["updated"]
        where = f"epoch {progress['epoch']:.1f}/{progress['epochs']} on {progress['host']}"
        if silent > STALLED:
            return State(cell, "stalled", f"{where}, silent for {duration(silent)}")
        return State(cell, "running", f"{where}, about {duration(left)} left", left)
    failure = _read(work / "failure.json")
    if failure is not None:
        return State(cell, "failed", failure["reason"])
    if any(work.glob("state-*.pt")):
        return State(cell, "stopped", "has a checkpoint and will continue")
    return State(cell, "pending")


def show(params: Params, experiment: str | None) -> None:
    """Print a table for each experiment."""
    console = Console()
    for name in [experiment] if experiment else params.run:
        states = [state(cell) for cell in grid.cells(params, name)]
        console.print(_table(name, states))
        counts = Counter(s.name for s in states)
        console.print(f"{name}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))


def duration(seconds: float) -> str:
    """Seconds in the two largest units that fit."""
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


_COLOURS = {"done": "green", "running": "cyan", "failed": "red", "diverged": "red", "stalled": "yellow"}


def _table(name: str, states: list[State]) -> Table:
    table = Table(title=name, title_justify="left")
    for column in ("cell", "state", "detail"):
        table.add_column(column, overflow="fold")
    for one in states:
        colour = _COLOURS.get(one.name, "default")
        table.add_row(one.cell.path.split("/", 1)[1], f"[{colour}]{one.name}[/]", one.detail.replace("[", r"\["))
    return table


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return read_json(path)
    except FileNotFoundError:
        return None
