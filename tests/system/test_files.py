import errno
import os

import pytest

from mtlbench.system import files


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")

    def fail() -> None:
        with files.atomic_writer(path, "w") as file:
            file.write("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space"):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_while_flushing_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_linking_replaces_the_name_and_never_writes_into_the_old_file(tmp_path) -> None:
    source, target, cached = tmp_path / "source", tmp_path / "folder/target", tmp_path / "cached"
    target.parent.mkdir()
    cached.write_text("old")
    os.link(cached, target)  # a file that a cache shares
    source.write_text("new")
    files.link_or_copy(source, target)
    assert target.read_text() == "new"
    assert cached.read_text() == "old"
    assert os.listdir(target.parent) == ["target"]
    files.link_or_copy(source, target)  # again, onto itself
    assert os.listdir(target.parent) == ["target"]


def test_linking_copies_where_links_are_impossible(tmp_path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "cross-device")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "source").write_text("x")
    files.link_or_copy(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_text() == "x"


def test_json_refuses_nan(tmp_path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        files.write_json(tmp_path / "a.json", {"a": float("nan")})
    assert os.listdir(tmp_path) == []
