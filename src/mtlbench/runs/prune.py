"""Removing what params.yaml does not ask for any more."""

import shutil
from collections.abc import Callable
from pathlib import Path

from mtlbench.plan import grid, keys
from mtlbench.plan.grid import Cell
from mtlbench.plan.params import Params

Say = Callable[[str], None]


def prune(params: Params, say: Say, dry_run: bool = False) -> None:
    """Remove cells, weights, reports and resume states that no experiment of params.yaml asks for.

    The store of finished cells stays, so that going back to earlier parameters costs nothing.
    """
    wanted = {cell.path: cell for name in params.experiments for cell in grid.cells(params, name)}
    for folder in (Path("results/cells"), Path("checkpoints")):
        for path in sorted(folder.glob("*/*/*/seed*")):
            cell = wanted.get(path.relative_to(folder).as_posix())
            stale = cell is not None and folder.name == "cells" and _stale(path, cell)
            if cell is None or stale or (folder.name == "checkpoints" and not cell.folder.exists()):
                _remove(path, say, dry_run)
    keys_wanted = {cell.key for cell in wanted.values()}
    for path in sorted(Path("work/cells").glob("*")):
        if path.name not in keys_wanted:
            _remove(path, say, dry_run)
    for parent in ("results/summary", "results/report"):
        for path in sorted(Path(parent).glob("*")):
            if path.name not in params.experiments:
                _remove(path, say, dry_run)


def _stale(folder: Path, cell: Cell) -> bool:
    """True when the folder's result belongs to other parameters and the wanted one is not there."""
    return keys.find_manifest(folder) is not None and not cell.manifest.exists()


def _remove(path: Path, say: Say, dry_run: bool) -> None:
    say(f"{'would remove' if dry_run else 'removed'} {path}")
    if not dry_run:
        shutil.rmtree(path)
        for parent in path.parents:
            if parent.name in ("cells", "checkpoints", "summary", "report", "work") or any(parent.iterdir()):
                break
            parent.rmdir()
