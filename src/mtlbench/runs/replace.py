"""A folder of results is replaced as a whole or not at all."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from mtlbench.plan import places
from mtlbench.system.files import fsync_folder
from mtlbench.system.lease import lease


@contextlib.contextmanager
def replacing(folder: Path, what: str) -> Iterator[Path]:
    """A new empty folder that takes the place of ``folder`` when the block ends without an error.

    Whatever goes wrong inside (bad input, a full disk, a crash, a kill) leaves the earlier folder as it was. A lease
    is held meanwhile: a second process that makes the same folder gets a BusyError. The two renames at the end are not
    one step; after a kill exactly between them the next call puts the earlier folder back first.
    """
    aside = places.aside(folder)
    with lease(places.folder_lease(folder), what) as holder:
        _tidy(folder, aside)
        made = aside / uuid.uuid4().hex
        made.mkdir(parents=True)
        try:
            yield made
            holder.check()
            _swap(folder, made, aside / "earlier")
        finally:
            if holder.held:
                _tidy(folder, aside)


def _tidy(folder: Path, aside: Path) -> None:
    """Put an earlier folder back that a kill left aside, and remove what an ended process left."""
    earlier = aside / "earlier"
    if earlier.is_dir() and not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        os.rename(earlier, folder)
    shutil.rmtree(aside, ignore_errors=True)
    with contextlib.suppress(OSError):
        aside.parent.rmdir()  # only when nothing else is made


def _swap(folder: Path, made: Path, earlier: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        os.rename(folder, earlier)
    os.rename(made, folder)
    fsync_folder(folder.parent)
