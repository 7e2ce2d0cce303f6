"""An earlier folder stays whole whatever happens to the one that should take its place."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mtlbench import pipeline
from mtlbench.plan import grid, places
from mtlbench.plan.params import load
from mtlbench.runs import pages
from mtlbench.runs.replace import replacing
from mtlbench.system.errors import BusyError
from mtlbench.system.lease import lease
from mtlbench.training.cell import run_cell

FOLDER = places.report("tiny")
# Replaces the folder in a process that is killed at the n-th rename, or in the middle of the block (0).
KILLED = """
import os, signal, sys
from pathlib import Path
from mtlbench.plan import places
from mtlbench.runs import replace
original, calls = os.rename, 0
def rename(*names):
    global calls
    calls += 1
    if calls == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    original(*names)
with replace.replacing(places.report("tiny"), "x") as made:
    (made / "index.html").write_text("new")
    replace.os.rename = rename
    if sys.argv[1] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
"""


def tree(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def earlier(project: Path) -> dict[str, bytes]:
    """An earlier folder."""
    (FOLDER / "figures").mkdir(parents=True)
    (FOLDER / "index.html").write_text("old")
    (FOLDER / "figures/a.svg").write_text("old")
    return tree(FOLDER)


def half_made() -> None:
    """A folder whose making ends on a full disk."""
    with replacing(FOLDER, "report of tiny") as made:
        (made / "index.html").write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")


def nothing_left() -> bool:
    """Neither a half-made folder nor a lease."""
    return not places.aside(FOLDER).parent.exists() and not places.folder_lease(FOLDER).exists()


def test_a_folder_is_replaced_as_a_whole(earlier: dict[str, bytes]) -> None:
    with replacing(FOLDER, "x") as made:
        (made / "index.html").write_text("new")
        assert tree(FOLDER) == earlier
    assert tree(FOLDER) == {"index.html": b"new"}
    assert nothing_left()


def test_an_error_leaves_the_earlier_folder(earlier: dict[str, bytes]) -> None:
    with pytest.raises(OSError, match="No space"):
        half_made()
    assert tree(FOLDER) == earlier
    assert nothing_left()


@pytest.mark.parametrize("when", [0, 1, 2])
def test_a_kill_leaves_the_earlier_folder(earlier: dict[str, bytes], when: int) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(when)], check=False)
    assert done.returncode == -signal.SIGKILL
    if when < 2:
        assert tree(FOLDER) == earlier
    with pytest.raises(OSError, match="No space"):
        half_made()
    assert tree(FOLDER) == earlier, "a kill between the two renames is undone by the next call"
    assert nothing_left()


def test_two_at_once_are_refused(earlier: dict[str, bytes]) -> None:
    with lease(places.folder_lease(FOLDER), "x"), pytest.raises(BusyError, match="already working on it"):
        half_made()
    assert tree(FOLDER) == earlier


def test_a_failing_summary_or_report_leaves_the_earlier_one(project: Path, edit, monkeypatch) -> None:
    edit("segnet_single: {width: 0.0625}\n      ", "")
    edit("baseline: segnet_single", "baseline: null")
    edit("      equal: {}\n", "")
    pipeline.prepare(load(), "rooms")
    (cell,) = grid.cells(load(), "tiny")
    run_cell(cell, load().runtime)
    manifest = pipeline.aggregate(load(), "tiny")
    assert manifest == pages.summary_manifest(load(), "tiny")
    before = tree(places.summary("tiny"))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("mtlbench.report.rows.files.write_json", full)
        with pytest.raises(OSError, match="No space left"):
            pipeline.aggregate(load(), "tiny")
    assert tree(places.summary("tiny")) == before
    os.rename(cell.manifest, "elsewhere")
    for make in (pipeline.aggregate, pipeline.report):
        with pytest.raises(Exception, match="1 of 1 cell is not there"):
            make(load(), "tiny")
    assert tree(places.summary("tiny")) == before
