"""A lease: at most one process works on a piece of work, on one machine or on many that share a file system.

The lease is a file that names its holder (host, process, a random token) and is touched while the holder
lives. A holder that is dead (its process is gone on this host, or the file was not touched for
``EXPIRES`` seconds) loses it. A holder that lost its lease (it hung, its node was cut off) notices at its
next look and must stop. Two processes can therefore never both publish a result.
"""

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtlbench.system.errors import BusyError, DamagedError
from mtlbench.system.files import read_json, write_json

HEARTBEAT = 5.0
EXPIRES = 60.0
#: The holder that a damaged lease file names.
_UNREADABLE = {"token": "", "folder": "", "host": "(a damaged lease file)", "namespace": "", "pid": 0, "started": None}


class Lease:
    """A held lease; :meth:`check` raises BusyError once another process has taken it."""

    def __init__(self, path: Path, token: str) -> None:
        self.path = path
        self.token = token

    @property
    def held(self) -> bool:
        """Whether the file still names this holder."""
        return _token(self.path) == self.token

    def check(self) -> None:
        """Raise BusyError when another process has taken the lease over."""
        if not self.held:
            raise BusyError(f"{self.path}: another process took this work over; this one stops")


@dataclass(frozen=True)
class Holder:
    """Who holds a lease, as others see it.

    ``folder`` is where it works; ``lost``: it is dead or silent, so that the next one takes over.
    """

    host: str
    pid: int
    folder: str
    lost: bool


def announce(path: Path) -> None:
    """Name this process at ``path`` without holding anything: :func:`holder` tells whether it lives."""
    write_json(path, {"token": "", **_self()})


def holder(path: Path) -> Holder | None:
    """The holder of the lease at ``path``, None when it is free."""
    found, touched = _look(path)
    if found is None:
        return None
    lost = _dead(found) or time.time() - touched > EXPIRES
    return Holder(found["host"], found["pid"], found["folder"], lost)


@contextlib.contextmanager
def lease(path: Path, what: str, wait: bool = False, say: Callable[[str], None] | None = None) -> Iterator[Lease]:
    """Hold the lease at ``path`` inside the block.

    When another live process holds it: raise BusyError, or with ``wait`` sleep until it is free. ``what`` names the
    work in messages.
    """
    held = Lease(path, uuid.uuid4().hex)
    stop = threading.Event()
    beat = threading.Thread(target=_keep_alive, args=(held, stop), daemon=True)
    try:  # from before the lease is taken: a signal may raise anywhere
        _acquire(held, what, wait, say)
        beat.start()
        yield held
    finally:
        stop.set()
        try:
            if beat.is_alive():
                beat.join()
        finally:
            if held.held:
                path.unlink(missing_ok=True)


def _acquire(wanted: Lease, what: str, wait: bool, say: Callable[[str], None] | None) -> None:
    path = wanted.path
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = path.with_name(f".{path.name}.{wanted.token}")
    write_json(mine, {"token": wanted.token, "folder": str(Path.cwd()), **_self()})
    said = False
    try:
        while True:
            # A hard link is made only when the name is free, in one step, on every file system that clusters use.
            with contextlib.suppress(FileExistsError):
                os.link(mine, path)
                return
            other, touched = _look(path)
            if other is None:
                continue
            # Both times come from the file system's clock: the clocks of two nodes may differ.
            os.utime(mine)
            if _dead(other) or mine.stat().st_mtime - touched > EXPIRES:
                _break(path, other["token"])
                continue
            if not wait:
                raise BusyError(
                    f"{what}: process {other['pid']} on {other['host']} is already working on it. "
                    f"Wait for it to end, or stop it; if it no longer exists, the lease expires after {EXPIRES:.0f} s."
                )
            if say is not None and not said:
                say(f"{what}: process {other['pid']} on {other['host']} is working on it; waiting")
            said = True
            time.sleep(1.0)
    finally:
        mine.unlink(missing_ok=True)


def _keep_alive(mine: Lease, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT):
        with contextlib.suppress(OSError):
            if not mine.held:
                return
            os.utime(mine.path)


def _break(path: Path, token: str) -> None:
    """Remove a dead holder's file, and only that one: whoever renames it first owns the removal."""
    aside = path.with_name(f".{path.name}.broken.{uuid.uuid4().hex}")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    if _token(aside) != token:
        # Somebody else broke it and took it in between: give it back unless a third process has it by now.
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    aside.unlink(missing_ok=True)


def _look(path: Path) -> tuple[dict[str, Any] | None, float]:
    """The holder and when it was last heard of; one that nobody can read is kept until it is silent for long."""
    try:
        touched = path.stat().st_mtime
        try:
            found = read_json(path)
            return {**_UNREADABLE, **found}, touched
        except (DamagedError, TypeError):
            return _UNREADABLE, touched
    except FileNotFoundError:
        return None, 0.0


def _token(path: Path) -> str | None:
    holder, _ = _look(path)
    return holder["token"] if holder else None


def _dead(holder: dict[str, Any]) -> bool:
    """True when the holder ran on this host and its process is gone (or the number is another process now)."""
    here = _self()
    if (holder["host"], holder["namespace"]) != (here["host"], here["namespace"]):
        return False
    return _birth(holder["pid"]) != holder["started"]


def _self() -> dict[str, Any]:
    try:
        namespace = os.readlink("/proc/self/ns/pid")  # containers count processes for themselves
    except OSError:
        namespace = ""
    return {"host": socket.gethostname(), "namespace": namespace, "pid": os.getpid(), "started": _birth(os.getpid())}


def _birth(pid: int) -> str | None:
    """The start time of a process in clock ticks, None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
        with contextlib.suppress(OSError):  # not Linux: existence is all that can be asked
            os.kill(pid, 0)
            return "running"
        return None
    after = text[text.rindex(")") + 2 :].split()
    return None if after[0] == "Z" else after[19]
