"""A trained cell that the tests of this folder share, and what is known of it independently."""

import contextlib
import os
import shutil
from pathlib import Path

import pytest

from mtlbench import pipeline
from mtlbench.inference.export import export
from mtlbench.plan import grid, places
from mtlbench.plan.params import load
from mtlbench.training.cell import run_cell

CELL = "tiny/segnet_split/dwa/seed0"


@pytest.fixture(scope="session")
def _trained(tmp_path_factory: pytest.TempPathFactory, tiny: str) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "params.yaml").write_text(tiny)
    outside = os.environ.pop(places.STORE_VARIABLE, None)
    try:
        with contextlib.chdir(folder):
            pipeline.prepare(load(), "rooms")
            run_cell(grid.cell(load(), CELL), load().runtime)
    finally:
        if outside is not None:
            os.environ[places.STORE_VARIABLE] = outside
    return folder


@pytest.fixture(scope="session")
def onnx_file(_trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cell's network exported to ONNX where `mtlbench export` puts it; made once, torch takes seconds for it."""
    for package in ("onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("exported") / "project"
    shutil.copytree(_trained, folder)
    with contextlib.chdir(folder):
        return export(CELL, "onnx", None, print).resolve()


@pytest.fixture
def trained(_trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> grid.Cell:
    """A finished cell of three tasks on images of 32x32, in a project of the test's own, the working directory."""
    folder = tmp_path / "project"
    shutil.copytree(_trained, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv(places.STORE_VARIABLE, raising=False)
    return grid.cell(load(), CELL)
