"""Raw files without a published checksum enter the keys by what they hold."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from mtlbench.plan import content, grid, places
from mtlbench.plan.params import load

DATASETS = """datasets:
  rooms: {kind: mtan_npy, source: one, layout: nyuv2, height: 32, width: 32}
  other: {kind: mtan_npy, source: two, layout: nyuv2, height: 32, width: 32}
"""


@pytest.fixture
def sources(project: Path, edit) -> Path:
    """Two folders of preprocessed files with other content under the same names."""
    edit("datasets:\n  rooms: {kind: rooms, height: 32, width: 32, train: 6, test: 3, seed: 1}\n", DATASETS)
    for number, name in enumerate(("one", "two")):
        for split in ("train", "val"):
            for array in ("image", "label", "depth", "normal"):
                (project / name / split / array).mkdir(parents=True)
                np.save(project / name / split / array / "0.npy", np.full((2, 2), number + 0.5))
    return project


def cells() -> list[str]:
    """The keys of all cells."""
    return [cell.key for cell in grid.cells(load(), "tiny")]


def test_two_sources_with_the_same_options_share_no_cell(sources: Path) -> None:
    assert grid.dataset(load(), "rooms").key != grid.dataset(load(), "other").key


def test_replaced_files_make_the_cells_pending_and_putting_them_back_does_not(sources: Path) -> None:
    before, path = cells(), sources / "one/train/depth/0.npy"
    kept = path.read_bytes()
    np.save(path, np.full((2, 2), 9.5))
    after = cells()
    assert not set(before) & set(after)
    assert grid.dataset(load(), "other").key == grid.dataset(load(), "other").key
    path.write_bytes(kept)
    os.utime(path, (1, 1))
    assert cells() == before, "times decide nothing"


def test_a_file_is_read_once(sources: Path, monkeypatch) -> None:
    before = cells()
    monkeypatch.setattr(content, "digest", None)
    assert cells() == before
    places.digests().write_text("{")
    monkeypatch.undo()
    os.chdir(sources)
    assert cells() == before, "a damaged memory is made again"


def test_a_clone_without_the_raw_files_plans_the_same_keys(sources: Path) -> None:
    before = cells()
    content.record("rooms", grid.dataset(load(), "rooms").spec["content"])
    shutil.rmtree(places.WORK)
    shutil.rmtree(sources / "one")
    assert cells() == before
