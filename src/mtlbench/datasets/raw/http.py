"""Fetching one file from one address by HTTP, again and again until it is whole."""

import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import requests
from urllib3.exceptions import LocationValueError

from mtlbench.datasets.raw.files import Progress, RawFile
from mtlbench.system.disk import require_space

#: Answers that pass with time; others (404, 403 ...) make the next address be tried at once.
_BUSY = {408, 425, 429, 500, 502, 503, 504}
_BLOCK = 1 << 20
#: What no further attempt mends: an address (or the one a redirect names) that is none, or of another scheme.
_NEVER = (
    requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema, requests.exceptions.InvalidURL,
    requests.TooManyRedirects, LocationValueError,
)  # fmt: skip


@dataclass(frozen=True)
class Patience:
    """How long to insist: attempts without a new byte at one address, and the waits between them in seconds."""

    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    timeout: float = 30.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def wait(self, failures: int, told: float | None) -> None:
        """Wait after a number of failures in a row: the time the server told, else twice as long each time.

        The random part keeps many machines that lost the same server from coming back at the same moment.
        """
        seconds = told if told is not None else self.first_wait * 2 ** (failures - 1) * random.uniform(0.75, 1.25)
        self.sleep(min(seconds, self.longest_wait))


class _TryLater(Exception):
    """An attempt failed in a way that may pass. ``told``: seconds after which the server wants to be asked again."""

    def __init__(self, reason: str, told: float | None = None) -> None:
        super().__init__(reason)
        self.told = told


class NextAddress(Exception):
    """This address will not give the file."""


def fetch_from(
    session: requests.Session, url: str, file: RawFile, part: Path, progress: Progress, patience: Patience
) -> None:
    """Attempts at one address until the file is whole; the count of failures starts anew with every new byte."""
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            return _attempt(session, url, file, part, progress, patience.timeout)
        except _NEVER as error:
            raise NextAddress(f"this address can never be fetched ({_plain(error)})") from None
        except (_TryLater, requests.RequestException) as error:
            grown = part.exists() and part.stat().st_size > before
            failures = 1 if grown else failures + 1
            if failures >= patience.attempts:
                raise NextAddress(f"gave up after {failures} attempts: {_plain(error)}") from error
            patience.wait(failures, getattr(error, "told", None))


def _attempt(
    session: requests.Session, url: str, file: RawFile, part: Path, progress: Progress, timeout: float
) -> None:
    start, headers = _resume_headers(part, url)
    with session.get(url, headers=headers, stream=True, timeout=timeout) as answer:
        _check_status(answer, session)
        if answer.status_code == 416:  # the part is already as long as the file, or the file has changed
            total = _total(answer)
            if total is None or total != start:
                discard(part)
                raise _TryLater("the server's file is another one now; starting over")
            return
        if answer.status_code == 206 and _first_byte(answer) != start:
            discard(part)
            raise _TryLater(f"asked for the bytes from {start}, was sent {answer.headers.get('Content-Range')}")
        if answer.status_code == 200:  # a server that ignores Range sends everything
            start = 0
        if answer.headers.get("Content-Type", "").startswith("text/html") and not file.name.endswith(".html"):
            raise NextAddress("a web page came instead of the file (moved, or a login is needed)")
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length is not None else file.bytes
        if total is not None:
            require_space(part.parent, total - start)
        _remember(part, url, answer)
        store(answer, part, start, total, progress)


def store(answer: requests.Response, part: Path, start: int, total: int | None, progress: Progress) -> None:
    done = start
    with open(part, "r+b" if start else "wb") as file:
        file.seek(start)
        file.truncate()
        for block in answer.iter_content(_BLOCK):
            file.write(block)
            file.flush()
            done += len(block)
            progress(done, total or 0)
        os.fsync(file.fileno())
    if total is not None and done != total:
        raise _TryLater(f"the connection ended after {done} of {total} bytes")


def _check_status(answer: requests.Response, session: requests.Session) -> None:
    status = answer.status_code
    if status in _BUSY:
        raise _TryLater(f"the server answered {status} {answer.reason}", _retry_after(answer))
    if status not in (200, 206, 416):
        kept_back = getattr(session.auth, "warning", "") or "is there a line with its account in ~/.netrc?"
        hint = f" ({kept_back})" if status in (401, 403) else ""
        raise NextAddress(f"the server answered {status} {answer.reason}{hint}")


def _resume_headers(part: Path, url: str) -> tuple[int, dict[str, str]]:
    # A compressed transfer would count other bytes than the file's.
    headers = {"Accept-Encoding": "identity"}
    if not part.exists():
        return 0, headers
    size = part.stat().st_size
    state = _read_state(part)
    # Another address may hold another version; only its own bytes are continued.
    if not size or state.get("url") != url:
        discard(part)
        return 0, headers
    headers["Range"] = f"bytes={size}-"
    if state.get("tag"):
        headers["If-Range"] = state["tag"]
    return size, headers


def _remember(part: Path, url: str, answer: requests.Response) -> None:
    tag = answer.headers.get("ETag", "")
    if not tag or tag.startswith("W/"):  # weak tags do not promise equal bytes
        tag = answer.headers.get("Last-Modified", "")
    state_path(part).write_text(json.dumps({"url": url, "tag": tag}), encoding="utf-8")


def _read_state(part: Path) -> dict[str, str]:
    try:
        return json.loads(state_path(part).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def state_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    state_path(part).unlink(missing_ok=True)


def _first_byte(answer: requests.Response) -> int | None:
    given = answer.headers.get("Content-Range", "").removeprefix("bytes ").split("-")[0]
    return int(given) if given.isdigit() else None


def _total(answer: requests.Response) -> int | None:
    given = answer.headers.get("Content-Range", "").rpartition("/")[2]
    return int(given) if given.isdigit() else None


def _retry_after(answer: requests.Response) -> float | None:
    given = answer.headers.get("Retry-After", "")
    return float(given) if given.isdigit() else None


def _plain(error: Exception) -> str:
    """What went wrong without the library's nested quotations."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection (wrong address, no network, or the server is down)"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut off"
    return str(error)
