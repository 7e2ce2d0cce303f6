"""Progress of long work: a bar on a terminal, a plain line every few seconds in a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mtlbench.datasets.raw.files import Progress
from mtlbench.system.console import progress_bar


@contextmanager
def reporter(title: str, unit: str = "images", interval: float = 10.0) -> Iterator[Progress]:
    """A progress(done, total) function; ``unit`` is "images" or "bytes"."""
    if sys.stderr.isatty():
        with progress_bar(title, unit) as progress:
            yield progress
        return
    started = time.monotonic()
    last = [started - interval, -1]

    def line(done: int, total: int) -> None:
        now = time.monotonic()
        if now - last[0] >= interval or (done == total and last[1] != done):
            last[:] = [now, done]
            share = f" of {_amount(total, unit)} ({100 * done / total:.0f} %)" if total else ""
            print(f"{title}: {_amount(done, unit)}{share}, {now - started:.0f} s",
                  file=sys.stderr, flush=True)  # fmt: skip

    yield line


def _amount(number: int, unit: str) -> str:
    return f"{number / 1e6:.1f} MB" if unit == "bytes" else f"{number} {unit}"
