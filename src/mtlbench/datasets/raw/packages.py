"""Files of CityScapes' packages, read from the zip files as downloaded or from folders that they were unpacked into.

Nothing is ever unpacked: members are read by name.
"""

import functools
import os
import zipfile
from pathlib import Path, PurePosixPath

from mtlbench.system.errors import DataError


def find(raw: Path, package: str) -> Path | None:
    """``<package>_trainvaltest.zip`` or the unpacked folder ``<package>``; None when neither is there."""
    archive, folder = raw / f"{package}_trainvaltest.zip", raw / package
    if archive.is_file():
        return archive
    return folder if folder.is_dir() else None


def names(place: Path) -> list[str]:
    """All files of a package as they are named in the zip file: ``leftImg8bit/train/aachen/...``; checked, sorted."""
    if place.is_dir():
        return sorted(path.relative_to(place.parent).as_posix() for path in place.rglob("*") if path.is_file())
    members = [member for member in _archive(place).infolist() if not member.is_dir()]
    seen: set[str] = set()
    for member in members:
        name = member.filename
        if name.startswith("/") or "\\" in name or ".." in PurePosixPath(name).parts:
            raise DataError(f"{place}: member '{name}' points outside the archive; this is not the official file")
        if name in seen:
            raise DataError(f"{place}: member '{name}' is there twice; this is not the official file")
        seen.add(name)
    return sorted(seen)


def read(place: Path, name: str) -> bytes:
    """The content of one file; raises DataError when the archive is damaged there."""
    if place.is_dir():
        return (place.parent / name).read_bytes()
    try:
        return _archive(place).read(name)
    except (zipfile.BadZipFile, EOFError, OSError, KeyError, NotImplementedError) as error:
        raise DataError(
            f"{place}: member '{name}' cannot be read ({error}): the file is damaged. Get it again"
        ) from error


def _archive(place: Path) -> zipfile.ZipFile:
    state = place.stat()
    # Workers that were forked would share the file's position, so the process is part of what is remembered.
    return _opened(place, state.st_size, state.st_mtime_ns, os.getpid())


@functools.lru_cache(maxsize=8)
def _opened(place: Path, _size: int, _changed: int, _process: int) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(place)
    except zipfile.BadZipFile as error:
        raise DataError(
            f"{place}: expected a zip file, found {place.stat().st_size} bytes that are none ({error}). If the "
            "download was cut off, remove the file and get it again"
        ) from error
