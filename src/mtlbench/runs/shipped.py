"""Finished cells that travel with the repository: their small files, without weights, taken by their keys.

A grid that takes days is trained in parts, on several machines. ``mtlbench ship`` copies the small files of finished
cells to ``results/shipped/cells/<key>/``, to be committed; a clone takes them instead of training again, and its report
has the same numbers. What is withheld (always the weights; the pictures, which are copies of test images, unless asked
for; a trial's numbers of every image, which no page reads) is known from the manifest, which names it with its digest.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from mtlbench.plan import keys, places
from mtlbench.plan.grid import Cell
from mtlbench.runs import store
from mtlbench.runs.manifest import MISSING, Manifest, read_cell
from mtlbench.system.errors import DamagedError, DataError
from mtlbench.system.files import link_or_copy
from mtlbench.system.words import many

#: Copies of test images with predictions: not everybody's to publish.
PICTURES = ("samples.npz",)
#: The largest of the small files; a trial is judged by what its history and metrics hold.
_OF_EVERY_IMAGE = ("per_image.npz",)


def _left_out(cell: Cell) -> frozenset[str]:
    """The outputs that an entry of it may lack."""
    return frozenset({*store.WEIGHTS, *PICTURES, *(() if cell.trial is None else _OF_EVERY_IMAGE)})


def shipped(key: str) -> Path | None:
    """The shipped entry of that key, or None."""
    entry = places.shipped(key)
    return entry if (entry / keys.manifest_name(key)).exists() else None


def ship(cells: Sequence[Cell], say: Callable[[str], None], pictures: bool = False) -> None:
    """Copy the small files of the finished cells among ``cells``; those that are not finished are counted.

    Raises DataError when none is finished, DamagedError for a cell whose files are not those of its manifest.
    """
    finished = [cell for cell in cells if cell.manifest.exists()]
    if not finished:
        raise DataError(f"{many(len(cells), 'cell')}, none finished: there is nothing to ship. Train some first.")
    new = [cell for cell in finished if _ship(cell, pictures)]
    size = sum(path.stat().st_size for cell in finished for path in places.shipped(cell.key).iterdir())
    say(
        f"{many(len(new), 'cell')} copied, {len(finished) - len(new)} there before, {len(cells) - len(finished)} not "
        f"finished; {size / 1e6:.1f} MB in {places.SHIPPED_CELLS}: commit it"
    )


def take(cell: Cell) -> bool:
    """Put a shipped cell's files into results/, the manifest last; False when there is none.

    Raises DataError when a shipped file is missing or not what the manifest says: it is versioned, so Git has the right
    one.
    """
    entry = shipped(cell.key)
    if entry is None:
        return False
    manifest = Manifest.read(entry / cell.manifest.name)
    for path, wrong in manifest.problems().items():
        if wrong != MISSING or path.name not in _left_out(cell):
            raise DataError(f"{path}: {wrong}; `git checkout {path}`, or remove {entry} to train the cell again")
    for old in cell.folder.glob("manifest.*.json"):
        old.unlink()
    for name in manifest.outputs:
        (cell.folder / name).unlink(missing_ok=True)
        if (entry / name).is_file():
            link_or_copy(entry / name, cell.folder / name, link=False)
    link_or_copy(manifest.path, cell.manifest, link=False)
    return True


def withheld(cell: Cell) -> frozenset[str]:
    """The outputs that a finished cell lacks because it was shipped without them; empty when it was trained here."""
    entry = shipped(cell.key)
    if entry is None or (entry / cell.manifest.name).read_bytes() != cell.manifest.read_bytes():
        return frozenset()
    outputs = Manifest.read(entry / cell.manifest.name).outputs
    place = store.place_of(cell)
    return frozenset(
        name for name in _left_out(cell) & outputs.keys() if not (entry / name).is_file() and not place(name).is_file()
    )


def _ship(cell: Cell, pictures: bool) -> bool:
    """Copy one finished cell; False when its entry holds all of it already."""
    manifest = read_cell(cell)
    leave = (_left_out(cell) - frozenset(PICTURES if pictures else ())) | withheld(cell)
    wanted = [name for name in manifest.outputs if name not in leave]
    entry = places.shipped(cell.key)
    there = shipped(cell.key)
    same = there is not None and (there / cell.manifest.name).read_bytes() == cell.manifest.read_bytes()
    if same and all((entry / name).is_file() for name in wanted):
        return False
    wrong = manifest.problems(store.place_of(cell))
    if bad := [path for path in map(store.place_of(cell), wanted) if path in wrong]:
        raise DamagedError(bad[0], f"{wrong[bad[0]]}; `mtlbench verify` lists all")
    shutil.rmtree(entry, ignore_errors=True)
    for name in wanted:
        link_or_copy(cell.folder / name, entry / name, link=False)
    link_or_copy(cell.manifest, entry / cell.manifest.name, link=False)
    return True
