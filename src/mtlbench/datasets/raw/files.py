"""Raw files: where they must be, and that they are the published ones."""

import functools
import hashlib
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtlbench.system.errors import DataError
from mtlbench.system.files import digest

#: progress(done, total) is called now and then with numbers of images or bytes.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Login:
    """A web form that opens a session for downloads.

    The account itself comes from the two environment variables named here, else from ~/.netrc for the form's host;
    it is never written anywhere.
    """

    url: str
    user_variable: str
    password_variable: str


@dataclass(frozen=True)
class RawFile:
    """One file of the official distribution.

    ``urls`` are tried in order; empty when it cannot be downloaded without an account, then ``instructions``
    says how a person gets it. ``sha256`` (else ``md5``) and ``bytes`` are checked when given and enter the dataset's
    key. A file that is not ``required`` is downloaded too, but preparing does without it. ``unpacked`` names the folder
    that may lie in the place of a package, "" where only the package itself is read.
    """

    name: str
    urls: tuple[str, ...] = ()
    bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None
    instructions: str = ""
    required: bool = True
    login: Login | None = None
    unpacked: str = ""

    @property
    def forms(self) -> tuple[str, ...]:
        """The names under which it may lie in its folder; the first one that is there is read."""
        return (self.name, self.unpacked) if self.unpacked else (self.name,)


def require(raw: Path, files: Sequence[RawFile]) -> None:
    """Raise DataError unless every file is in the folder ``raw`` with its published size and digest."""
    missing = [file for file in files if not (raw / file.name).is_file()]
    if missing:
        lines = [f"{raw}: expected {len(files)} raw files, {len(missing)} of them missing:"]
        lines += [f"  {file.name}: {how_to_get(file)}" for file in missing]
        raise DataError("\n".join(lines))
    for file in files:
        check(raw / file.name, file)


def check(path: Path, file: RawFile) -> None:
    """Raise DataError unless ``path`` has the size and digest that ``file`` states (where it states them)."""
    found = path.stat().st_size
    if file.bytes is not None and found != file.bytes:
        cut = " (the download was cut off?)" if found < file.bytes else ""
        raise DataError(
            f"{path}: expected {file.bytes} bytes, found {found}{cut}. Remove it and get it again: {how_to_get(file)}"
        )
    if file.sha256 is None and file.md5 is None and path.is_file() and not _has_form(path, file.name):
        raise DataError(
            f"{path}: expected a {Path(file.name).suffix[1:]} file, found {beginning(path)}. Remove it and get it "
            f"again: {how_to_get(file)}"
        )
    for algorithm, expected in (("sha256", file.sha256), ("md5", file.md5 if file.sha256 is None else None)):
        if expected is not None and (actual := digest_of(path, algorithm)) != expected:
            raise DataError(
                f"{path}: wrong checksum: expected {algorithm} {expected}, found {actual}. The file is damaged or is "
                f"not the published one. Remove it and get it again: {how_to_get(file)}"
            )


def _has_form(path: Path, name: str) -> bool:
    """Whether a file without a known digest can be what its name says; the end of a zip file shows that it is whole."""
    return zipfile.is_zipfile(path) if name.endswith(".zip") else True


def how_to_get(file: RawFile) -> str:
    """One sentence that says where a raw file comes from."""
    if file.instructions:
        return file.instructions
    return f"download {file.urls[0]}" if file.urls else "this file has no public address"


def beginning(path: Path) -> str:
    """What a file is, for messages about one of the wrong kind: its size and first bytes."""
    try:
        with open(path, "rb") as file:
            return f"{path.stat().st_size} bytes that begin with {file.read(8)!r}"
    except OSError as error:
        return f"nothing readable ({error.strerror})"


def digest_of(path: Path, algorithm: str = "sha256") -> str:
    """The digest of a file, computed once per process and state of the file."""
    state = path.stat()
    return _digest(path, algorithm, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _digest(path: Path, algorithm: str, _size: int, _changed: int) -> str:
    return digest(path, algorithm)


def digest_of_folder(folder: Path, pattern: str) -> dict[str, int | str]:
    """One digest for all files of a folder that match: the SHA-256 of their names and digests in order."""
    paths = sorted(path for path in folder.rglob(pattern) if path.is_file())
    total = hashlib.sha256()
    for path in paths:
        total.update(f"{path.relative_to(folder).as_posix()} {digest_of(path)}\n".encode())
    return {"sha256": total.hexdigest(), "bytes": sum(path.stat().st_size for path in paths), "files": len(paths)}
