"""Files of CityScapes' packages, read from the zip files as downloaded or from folders that they were unpacked into.

Nothing is ever unpacked: members are read by name.
"""

import functools
import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mtlbench.system.errors import DataError

#: Bytes of one unpacked file; the largest official ones, pictures of 2048 x 1024 pixels, have 3 MB.
_LARGEST = 64 << 20
#: What zipfile raises for files that are damaged, in its own structures or in the packed bytes.
_BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, KeyError, ValueError, NotImplementedError,
    RuntimeError, OverflowError, IndexError,
)  # fmt: skip


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
            raise DataError(f"{place}: member {name!r} points outside the archive; this is not the official file")
        if name in seen:
            raise DataError(f"{place}: member {name!r} is there twice; this is not the official file")
        seen.add(name)
    return sorted(seen)


def read(place: Path, name: str) -> bytes:
    """The content of one file; raises DataError when it is damaged, encrypted or larger than any official one."""
    try:
        if place.is_dir():
            return _read_file(place.parent / name)
        archive = _archive(place)
        member = archive.getinfo(name)
        _check_member(place, member)
        with archive.open(member) as file:
            # A bounded read: what a header states about its size need not be true.
            return file.read(member.file_size + 1)
    except _BROKEN as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{place}: member {name!r} cannot be read ({reason}): the file is damaged. Get it again"
        ) from None


def content_digest(place: Path, chosen: Sequence[str]) -> str:
    """The SHA-256 of the names and contents of these files: the same for a zip file and the folder unpacked from it."""
    total = hashlib.sha256()
    for name in sorted(chosen):
        total.update(f"{name} {hashlib.sha256(read(place, name)).hexdigest()}\n".encode())
    return total.hexdigest()


def _read_file(path: Path) -> bytes:
    size = path.stat().st_size
    if not path.is_file() or size > _LARGEST:
        raise DataError(f"{path}: expected a file of at most {_LARGEST} bytes, found {size}; it is not an official one")
    return path.read_bytes()


def _check_member(place: Path, member: zipfile.ZipInfo) -> None:
    where = f"{place}: member {member.filename!r}"
    if member.flag_bits & 1:
        raise DataError(f"{where} is encrypted, the official file has no password. Get it again")
    # Other methods are unpacked without a bound on memory.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(
            f"{where} is packed by method {member.compress_type}, expected stored or deflated; pack it again"
        )
    if member.file_size > _LARGEST:
        raise DataError(
            f"{where} unpacks to {member.file_size} bytes, expected at most {_LARGEST}; this is not the official file"
        )


def _archive(place: Path) -> zipfile.ZipFile:
    state = place.stat()
    # Workers that were forked would share the file's position, so the process is part of what is remembered.
    return _opened(place, state.st_size, state.st_mtime_ns, os.getpid())


@functools.lru_cache(maxsize=8)
def _opened(place: Path, _size: int, _changed: int, _process: int) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(place)
    except _BROKEN as error:
        raise DataError(
            f"{place}: expected a zip file, found {place.stat().st_size} bytes that are none ({error}). If the "
            "download was cut off, remove the file and get it again"
        ) from None
