"""Finished cells: first whole in a store that nothing else writes to, then linked into the tracked folders.

``dvc exp run`` checks out the workspace by force and ``dvc checkout`` replaces folders; the store under
``work/`` survives both, so nothing is trained twice. It is addressed by key alone: two experiments that
contain the same cell share one entry. ``MTLBENCH_STORE`` names a store outside the checkout.
"""

import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtlbench.plan import keys, places
from mtlbench.plan.grid import Cell
from mtlbench.runs.manifest import Manifest
from mtlbench.system.files import fsync_folder, link_or_copy

#: Outputs that are versioned apart from the small results because they are large.
WEIGHTS = ("model.safetensors",)


def stored(key: str) -> Path | None:
    """The complete entry of that key, or None."""
    entry = places.store() / key
    return entry if (entry / keys.manifest_name(key)).exists() else None


def staging(key: str) -> Path:
    """A new empty folder beside the entries; :func:`publish` makes it one."""
    path = places.store() / f".{key}.{uuid.uuid4().hex}"
    path.mkdir(parents=True)
    return path


def publish(staged: Path, key: str) -> Path:
    """Rename a complete folder to its entry; when another process was first, its entry stays."""
    entry = places.store() / key
    if stored(key) is None:
        shutil.rmtree(entry, ignore_errors=True)
        os.rename(staged, entry)
        fsync_folder(entry.parent)
    else:
        shutil.rmtree(staged)
    return entry


def remove(key: str) -> None:
    """Remove the entry of that key, so that a new one can be published; what was linked in from it stays."""
    shutil.rmtree(places.store() / key, ignore_errors=True)


def place(cell: Cell, trained: Cell, facts: Mapping[str, Any]) -> bool:
    """Put the cell's entry into results/ and checkpoints/, the manifest last; False when there is none.

    ``trained`` is the cell whose entry it is: ``cell`` itself, or the ordinary one that was trained for it
    (``derived.py``); then the manifest is that of ``cell``, with ``facts`` added.

    Small files, which people open in editors, are copied, so that an edit in place never changes the store; the large
    weights, which nobody edits, are hard-linked, and the digest check here notices one that was changed all the same.

    A damaged entry (a digest differs) is removed, so that the cell is trained again.
    """
    entry = stored(trained.key)
    if entry is None:
        return False
    manifest = Manifest.read(entry / keys.manifest_name(trained.key))
    if manifest.problems():
        shutil.rmtree(entry)
        return False
    for old in cell.folder.glob("manifest.*.json"):
        old.unlink()
    for name in manifest.outputs:
        link_or_copy(entry / name, place_of(cell)(name), link=name in WEIGHTS)
    if trained.key == cell.key:
        link_or_copy(entry / cell.manifest.name, cell.manifest, link=False)
    else:
        replace(manifest, path=cell.manifest, key=cell.key, spec=cell.spec, facts={**manifest.facts, **facts}).save()
    _remove_others(cell.folder, {*manifest.outputs, cell.manifest.name} - set(WEIGHTS))
    return True


def place_of(cell: Cell) -> Callable[[str], Path]:
    """Where an output of a finished cell lies in the tracked folders, by its name."""
    return lambda name: (cell.checkpoint_folder if name in WEIGHTS else cell.folder) / name


def _remove_others(path: Path, keep: set[str]) -> None:
    for other in path.iterdir():
        if other.name not in keep and other.is_file():
            other.unlink()
