"""What raw files hold, where no checksum is published.

Of a local source the digest enters the dataset's spec and so every key: two sources with the same options never share
cells, and replaced files make exactly their cells pending. Files are digested once and remembered by path, size and
time under work/. ``prepare`` records the digests in a small versioned file, so that a clone without the raw files plans
the same keys. Of a download nothing is known at planning, so its address enters the spec, and what it gave first is
recorded: later downloads are compared with that.
"""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mtlbench.plan import places
from mtlbench.system.errors import DamagedError, DataError
from mtlbench.system.files import digest, read_json, write_json


def content(name: str, raw: Path, files: Mapping[str, Sequence[str]], source: str | None = None) -> dict[str, str]:
    """{raw file: SHA-256} of what is in ``raw``; ``files`` is {raw file: names of the file or folder that holds it}.

    Where ``raw`` does not exist, what ``record`` kept under ``name`` for the same ``source``; {} when there is nothing
    to go by: a dataset that names another folder now has not the content of the earlier one.
    """
    if not files:
        return {}
    if not raw.is_dir():
        return _recorded(name, source)
    known = dict(_remembered(places.digests(), _time(places.digests())))
    before = len(known)
    found = {file: total for file, forms in files.items() if (total := _total(raw, forms, known))}
    if len(known) > before:
        write_json(places.digests(), known)
    return found


def record(name: str, found: Mapping[str, str], source: str | None) -> None:
    """Keep the digests of a ``source``, as params.yaml spells it, for a clone that has no raw files."""
    new = {"source": source, "files": dict(found)}
    if found and _json(places.sources(name)) != new:
        write_json(places.sources(name), new)


def compare(name: str, found: Mapping[str, str], source: str | None) -> None:
    """Record under ``name`` what the address ``source`` gave; DataError when it gave something else before.

    Without a ``source`` the files come from their published addresses.
    """
    source = source.rstrip("/") if source else None
    before = _recorded(name, source)
    other = [file for file, value in found.items() if before.get(file, value) != value]
    if other:
        raise DataError(
            f"{source or name}: {', '.join(other)} is not the file that was downloaded from there before (digests in "
            f"{places.sources(name)}), and results are kept by the address. Put the earlier file back into "
            f"{places.raw(name)}, or name a folder that holds the new one as `source`: its content then enters the keys"
        )
    record(name, {**before, **found}, source)


def _recorded(name: str, source: str | None) -> dict[str, str]:
    """What is kept under ``name`` of this source; {} of any other."""
    kept = _json(places.sources(name))
    files = kept.get("files") if kept.get("source", "") == source else None
    return {str(key): str(value) for key, value in files.items()} if isinstance(files, dict) else {}


def _total(raw: Path, forms: Sequence[str], known: dict[str, str]) -> str | None:
    """The digest of the first of these that is there: of a file, or of all files below a folder."""
    place = next((raw / form for form in forms if (raw / form).exists()), None)
    if place is None or place.is_file():
        return None if place is None else _digest(place, known)
    total = hashlib.sha256()
    for path in sorted(path for path in place.rglob("*") if path.is_file()):
        total.update(f"{path.relative_to(place).as_posix()} {_digest(path, known)}\n".encode())
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
