"""What local raw files hold, where no checksum is published: their digest enters the dataset's spec and so every key.

So two sources with the same options never share cells, and replaced files make exactly their cells pending. Files are
digested once and remembered by path, size and time under work/. ``prepare`` records the digests in a small versioned
file, so that a clone without the raw files plans the same keys.
"""

import functools
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mtlbench.plan import places
from mtlbench.system.errors import DamagedError
from mtlbench.system.files import digest, read_json, write_json


def content(name: str, raw: Path, files: Mapping[str, str | None]) -> dict[str, str]:
    """{raw file or folder: SHA-256} of what is in ``raw`` without a known checksum (None in ``files``).

    Where ``raw`` does not exist, what ``record`` kept for the dataset ``name``; {} when there is nothing to go by.
    """
    unknown = [file for file, checksum in files.items() if checksum is None]
    if not unknown:
        return {}
    if not raw.is_dir():
        recorded = _json(places.sources(name))
        return {str(key): str(value) for key, value in recorded.items()}
    known = dict(_remembered(places.digests(), _time(places.digests())))
    before = len(known)
    found = {file: total for file in unknown if (total := _total(raw, file, known))}
    if len(known) > before:
        write_json(places.digests(), known)
    return found


def record(name: str, found: Mapping[str, str]) -> None:
    """Keep the digests for a clone that has no raw files."""
    if found and _json(places.sources(name)) != found:
        write_json(places.sources(name), dict(found))


def _total(raw: Path, file: str, known: dict[str, str]) -> str | None:
    """One digest for a file, or for all files below a folder of that name (or of the package's name, unpacked)."""
    packed, unpacked = raw / file, raw / file.removesuffix("_trainvaltest.zip")
    if packed.is_file():
        return _digest(packed, known)
    if not unpacked.is_dir():
        return None
    total = hashlib.sha256()
    for path in sorted(path for path in unpacked.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(unpacked).as_posix()} {_digest(path, known)}\n".encode())
    return total.hexdigest()


def _digest(path: Path, known: dict[str, str]) -> str:
    state = path.stat()
    mark = f"{path.resolve()} {state.st_size} {state.st_mtime_ns}"
    if mark not in known:
        known[mark] = digest(path)
    return known[mark]


@functools.lru_cache(maxsize=4)
def _remembered(path: Path, _time: int) -> dict[str, str]:
    return {str(mark): str(value) for mark, value in _json(path).items()}


def _time(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0


def _json(path: Path) -> dict[str, Any]:
    with suppress(FileNotFoundError, DamagedError):
        found = read_json(path)
        return found if isinstance(found, dict) else {}
    return {}
