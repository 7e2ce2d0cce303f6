"""Downloading raw files: resumable, checked, from several addresses, patient with a busy server.

A file grows as ``.<name>.part`` beside its final place and is renamed when its size and digest are right. When the
connection drops, or the command is stopped, the next attempt asks for the rest only (HTTP Range), and takes it only
if the server still has the same file (If-Range).
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock

from mtlbench.datasets.raw.accounts import open_session
from mtlbench.datasets.raw.files import Progress, RawFile, check
from mtlbench.datasets.raw.http import NextAddress, Patience, discard, fetch_from, state_path
from mtlbench.datasets.raw.progress import reporter
from mtlbench.system.disk import tell_full_disk
from mtlbench.system.errors import DataError
from mtlbench.system.files import fsync_folder


def download(
    files: Sequence[RawFile], folder: Path, progress: Progress | None = None, patience: Patience | None = None
) -> list[Path]:
    """Fetch the files that are not in ``folder`` yet; returns all their paths.

    A file that is there and has its published size and digest is left alone; one that has not is replaced once the
    right one is complete. A file that is not required and cannot be had is left out. Raises DataError that says what
    was tried, or how a person gets the files that need an account; nothing half-written ever has a final name.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    by_hand = [file for file in files if not file.urls and not (folder / file.name).exists()]
    if by_hand:
        lines = [f"{folder}: these files cannot be downloaded by a program; put them into this folder:"]
        raise DataError("\n".join([*lines, *(f"  {file.name}: {file.instructions}" for file in by_hand)]))
    with contextlib.ExitStack() as stack:
        for file in files:
            report = progress or stack.enter_context(reporter(f"download {file.name}", "bytes"))
            with _alone(folder / f".{file.name}.lock"):
                try:
                    if not _complete(folder / file.name, file):
                        with tell_full_disk(folder / file.name):
                            _fetch(file, folder / file.name, report, patience or Patience())
                except DataError as error:
                    if file.required:
                        raise
                    print(f"{error}\n{file.name} is not needed and left out", file=sys.stderr, flush=True)
    return [folder / file.name for file in files if (folder / file.name).exists()]


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """A second download of the same file waits, and then finds it complete."""
    with FileLock(path):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _complete(path: Path, file: RawFile) -> bool:
    if not path.exists():
        return False
    if path.is_dir():  # an unpacked package or a folder of arrays; preparing looks into it
        return True
    try:
        check(path, file)
    except DataError:
        if not file.urls:
            raise
        return False
    return True


def _fetch(file: RawFile, path: Path, progress: Progress, patience: Patience) -> None:
    part = path.with_name(f".{path.name}.part")
    reasons = []
    for url in file.urls:
        try:
            with open_session(file, url, patience.timeout) as session:
                fetch_from(session, url, file, part, progress, patience)
                if warning := getattr(session.auth, "warning", ""):
                    print(f"{path.name}: {warning}", file=sys.stderr, flush=True)
            check(part, file)
        except (NextAddress, DataError) as error:
            reasons.append(f"  {url}: {error}")
            if isinstance(error, DataError):
                discard(part)
            continue
        os.replace(part, path)
        fsync_folder(path.parent)
        state_path(part).unlink(missing_ok=True)
        return
    raise DataError("\n".join([f"{path.name} could not be downloaded:", *reasons, _advice(file, path)]))


def _advice(file: RawFile, path: Path) -> str:
    extra = f" {file.instructions}" if file.instructions else ""
    return f"Try again later, or get the file in another way and put it at {path}.{extra}"
