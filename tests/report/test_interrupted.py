"""A report that dies on its way, or meets a full disk, leaves the earlier page whole and says why in one line."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtlbench import pipeline
from mtlbench.plan import grid, places
from mtlbench.plan.params import load
from mtlbench.training.cell import run_cell

pytestmark = pytest.mark.slow  # every run is a process of its own that draws a whole report

# `mtlbench VERB tiny`, in which the process that draws the learning curves ends in the given way.
RUN = """
import os, signal, sys
from mtlbench.report.figures import curves
def end(*_):
    os.abort() if sys.argv[1] == "abort" else os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] != "-":
    curves.model_curves = end
sys.argv = ["mtlbench", *sys.argv[2:]]
from mtlbench.cli import main
main()
"""
RESULTS = places.report("tiny").parents[1]
FOLDERS = {"report": places.report("tiny"), "aggregate": places.summary("tiny")}


@pytest.fixture
def trained(project: Path, edit) -> Path:
    """A project with a trained cell and nothing of its report."""
    edit("segnet_single: {width: 0.0625}\n      ", "")
    edit("baseline: segnet_single", "baseline: null")
    edit("      equal: {}\n", "")
    pipeline.prepare(load(), "rooms")
    (cell,) = grid.cells(load(), "tiny")
    run_cell(cell, load().runtime)
    return project


def run(verb: str, ending: str = "-") -> subprocess.CompletedProcess[str]:
    """The verb in a process of its own."""
    command = [sys.executable, "-c", RUN, ending, verb, "tiny"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def tree(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("ending", ["abort", "kill"])
def test_a_process_that_dies_while_it_draws_leaves_the_earlier_page(trained: Path, edit, ending: str) -> None:
    edit("workers: 1", "workers: 2")
    assert run("report").returncode == 0
    before = tree(FOLDERS["report"])
    assert "index.html" in before
    edit("title: ", "title: Another ")  # a page that would differ
    done = run("report", ending)
    assert done.returncode == 1, done.stderr
    assert tree(FOLDERS["report"]) == before
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: a worker process died")
    assert run("report").returncode == 0, "the same command then works"
    assert tree(FOLDERS["report"]) != before


@pytest.fixture
def small_disk(trained: Path) -> Iterator[Path]:
    """All results are on a small file system of their own."""
    cells = tree(RESULTS)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(RESULTS.resolve())],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    try:
        for name, content in cells.items():
            path = RESULTS / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        yield RESULTS
    finally:
        subprocess.run(["umount", str(RESULTS.resolve())], check=True)


def fill(path: Path) -> None:
    """Take every byte that is left."""
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize("verb", FOLDERS)
def test_a_disk_that_is_really_full_leaves_the_earlier_result(small_disk: Path, edit, verb: str) -> None:
    assert run(verb).returncode == 0
    before = tree(FOLDERS[verb])
    assert before
    edit("title: ", "title: Another ")
    fill(small_disk / "ballast")
    done = run(verb)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "No space left on device" in done.stderr
    assert tree(FOLDERS[verb]) == before
    (small_disk / "ballast").unlink()
    assert run(verb).returncode == 0, "with space the same command works"
    assert list(small_disk.glob(".making/*")) == []
