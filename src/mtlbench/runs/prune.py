"""Removing what params.yaml does not ask for any more."""

import shutil
from collections.abc import Callable
from pathlib import Path

from mtlbench.plan import grid, places, summaries
from mtlbench.plan.grid import Cell
from mtlbench.plan.params import Params
from mtlbench.runs import derived
from mtlbench.runs import manifest as manifests

Say = Callable[[str], None]
#: Folders that stay when they are empty.
_KEPT = (places.CELLS, places.CHECKPOINTS, places.SUMMARIES, places.REPORTS, places.RESUME)


def prune(params: Params, say: Say, dry_run: bool = False) -> None:
    """Remove cells, weights, reports and resume states that no experiment of params.yaml asks for.

    The store of finished cells stays, so that going back to earlier parameters costs nothing.
    """
    wanted = {cell.path: cell for name in params.experiments for cell in grid.every_cell(params, name)}
    for folder in (places.CELLS, places.CHECKPOINTS):
        for path in sorted(folder.glob("*/*/*/*")):
            cell = wanted.get(path.relative_to(folder).as_posix())
            stale = cell is not None and folder == places.CELLS and _stale(path, cell)
            if cell is None or stale or (folder == places.CHECKPOINTS and not cell.folder.exists()):
                _remove(path, say, dry_run)
    keys_wanted = {(derived.resolved_or_none(cell) or cell).whole.key for cell in wanted.values()}
    for path in sorted(places.RESUME.glob("*")):
        if path.name not in keys_wanted:
            _remove(path, say, dry_run)
    names = set(params.experiments)
    names |= {places.selection(one, rung).name for one in params.experiments for rung in summaries.rungs(params, one)}
    for parent in (places.SUMMARIES, places.REPORTS, places.SELECTIONS):
        for path in sorted(parent.glob("*")):
            if path.is_dir() and path.name not in names:
                _remove(path, say, dry_run)


def _stale(folder: Path, cell: Cell) -> bool:
    """True when the folder's result belongs to other parameters and the wanted one is not there."""
    return manifests.find(folder) is not None and not cell.manifest.exists()


def _remove(path: Path, say: Say, dry_run: bool) -> None:
    say(f"{'would remove' if dry_run else 'removed'} {path}")
    if not dry_run:
        shutil.rmtree(path)
        for parent in path.parents:
            if parent in _KEPT or any(parent.iterdir()):
                break
            parent.rmdir()
