"""Raw files without a published checksum enter the keys by what they hold."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mtlbench import pipeline
from mtlbench.plan import content, grid, places, prepared
from mtlbench.plan.params import load
from mtlbench.system.errors import DataError

from ..datasets.raw.server import Site, site  # noqa: TID252

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
    assert prepared.dataset(load(), "rooms").key != prepared.dataset(load(), "other").key


def test_replaced_files_make_the_cells_pending_and_putting_them_back_does_not(sources: Path) -> None:
    before, path = cells(), sources / "one/train/depth/0.npy"
    kept = path.read_bytes()
    np.save(path, np.full((2, 2), 9.5))
    after = cells()
    assert not set(before) & set(after)
    assert prepared.dataset(load(), "other").key == prepared.dataset(load(), "other").key
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
    content.record("rooms", prepared.dataset(load(), "rooms").content, "one")
    shutil.rmtree(places.WORK)
    shutil.rmtree(sources / "one")
    assert cells() == before


def test_what_the_repository_keeps_of_sources_enters_the_keys(repository: Path, tmp_path: Path, monkeypatch) -> None:
    """A record that is not read would give shipped cells other keys in a clone without the raw files, silently."""
    shutil.copy(repository / "params.yaml", tmp_path)
    shutil.copytree(repository / places.sources("x").parent, tmp_path / places.sources("x").parent)
    monkeypatch.chdir(tmp_path)
    kept = sorted(places.sources("x").parent.glob("*.json"))
    assert kept
    for path in kept:
        assert prepared.dataset(load(), path.stem).content == json.loads(path.read_text())["files"] != {}


@pytest.mark.parametrize("kept", ["{}", "[]", "{", '{"source": "three", "files": [1]}', '{"source": "three"}'])
def test_another_folder_under_the_same_name_has_not_the_content_of_the_earlier_one(
    sources: Path, edit, kept: str
) -> None:
    before = cells()
    content.record("rooms", prepared.dataset(load(), "rooms").content, "one")
    edit("source: one", "source: three")  # not there (yet), or misspelt
    assert not set(before) & set(cells())
    places.sources("rooms").write_text(kept)
    assert not set(before) & set(cells()), "a damaged record says nothing"


def total(folder: Path) -> str:
    """The SHA-256 of names and digests of the files, computed as documented."""
    lines = [
        f"{path.relative_to(folder).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n"
        for path in sorted(folder.rglob("*")) if path.is_file()
    ]  # fmt: skip
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def test_a_package_counts_as_it_lies_there_packed_or_unpacked(project: Path, edit) -> None:
    edit("rooms: {kind: rooms, height: 32, width: 32, train: 6, test: 3, seed: 1}",
         "rooms: {kind: cityscapes, source: raw, checksums: none}")  # fmt: skip
    (project / "raw/gtFine/train").mkdir(parents=True)
    (project / "raw/gtFine/train/a.png").write_bytes(b"a")
    (project / "raw/leftImg8bit_trainvaltest.zip").write_bytes(b"zip")
    assert prepared.dataset(load(), "rooms").content == {
        "gtFine_trainvaltest.zip": total(project / "raw/gtFine"),
        "leftImg8bit_trainvaltest.zip": hashlib.sha256(b"zip").hexdigest(),
    }


@pytest.fixture
def address(project: Path, edit) -> Iterator[Site]:
    """A server whose files have no published checksum, as the source of the dataset."""
    with site() as running:
        edit("{kind: rooms, height: 32, width: 32, train: 6, test: 3, seed: 1}",
             f"{{kind: nyuv2, source: {running.url}/a, checksums: none}}")  # fmt: skip
        for path in ("/a/nyu_depth_v2_labeled.mat", "/a/splits.mat", "/b/nyu_depth_v2_labeled.mat", "/b/splits.mat"):
            running.content[path] = path.encode()
        yield running


def key() -> str:
    """The key of the dataset."""
    return prepared.dataset(load(), "rooms").key


def test_two_addresses_without_checksums_share_nothing(address: Site, edit) -> None:
    first = key(), prepared.raw_folder(prepared.dataset(load(), "rooms"))
    pipeline.download(load(), "rooms")
    assert key() == first[0], "known before the download"
    edit(f"{address.url}/a", f"{address.url}/a/")
    assert key() == first[0], "the same address"
    edit(f"{address.url}/a/", f"{address.url}/b")
    assert key() != first[0]
    pipeline.download(load(), "rooms")
    folder = prepared.raw_folder(prepared.dataset(load(), "rooms"))
    assert (folder / "splits.mat").read_bytes() == b"/b/splits.mat"
    assert (first[1] / "splits.mat").read_bytes() == b"/a/splits.mat"


def test_an_address_enters_no_key_where_checksums_are_published(project: Path, edit) -> None:
    edit("kind: rooms, height: 32, width: 32, train: 6, test: 3, seed: 1", "kind: nyuv2, source: https://one.example/a")
    before = key()
    edit("https://one.example/a", "https://two.example/b")
    assert key() == before
    edit("source: https://two.example/b", "source: null")
    assert key() == before


def test_a_download_that_is_not_the_one_of_before_is_refused(address: Site, monkeypatch) -> None:
    made: list[str] = []
    monkeypatch.setattr("mtlbench.datasets.prepared.prepare.prepare", lambda name, *_, **__: made.append(name))
    folder = prepared.raw_folder(prepared.dataset(load(), "rooms"))
    for _ in range(2):
        pipeline.download(load(), "rooms")
        pipeline.prepare(load(), "rooms")
        shutil.rmtree(folder)
    assert made == ["rooms", "rooms"]
    shutil.rmtree(places.WORK)  # another machine, with what is versioned
    address.content["/a/splits.mat"] = b"another split"
    pipeline.download(load(), "rooms")
    with pytest.raises(DataError, match=r"127.0.0.1:\d+/a: splits.mat is not the file .* downloaded from there before"):
        pipeline.prepare(load(), "rooms")
    assert len(made) == 2
    shutil.rmtree(folder)
    address.content["/a/splits.mat"] = b"/a/splits.mat"
    pipeline.download(load(), "rooms")
    pipeline.prepare(load(), "rooms")


def test_the_cameras_of_cityscapes_which_have_no_checksum_are_compared_with_the_first(
    project: Path, edit, monkeypatch
) -> None:
    edit(
        "{kind: rooms, height: 32, width: 32, train: 6, test: 3, seed: 1}", "{kind: cityscapes, inverse_depth: metric}"
    )
    made: list[str] = []
    monkeypatch.setattr("mtlbench.datasets.prepared.prepare.prepare", lambda name, *_, **__: made.append(name))
    cameras = prepared.raw_folder(prepared.dataset(load(), "rooms")) / "camera_trainvaltest.zip"
    cameras.parent.mkdir(parents=True)
    cameras.write_bytes(b"first")
    before = key()
    pipeline.prepare(load(), "rooms")
    cameras.write_bytes(b"another")
    assert key() == before
    with pytest.raises(DataError, match=r"camera_trainvaltest.zip is not the file that was downloaded .* before"):
        pipeline.prepare(load(), "rooms")
    assert made == ["rooms"]
    edit("inverse_depth: metric", "inverse_depth: mtan")  # does not read them
    pipeline.prepare(load(), "rooms")
    assert made == ["rooms", "rooms"]
