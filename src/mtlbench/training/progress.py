"""What a run tells while it goes on: its log, its position, the reason of its failure."""

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mtlbench.plan import places
from mtlbench.plan.grid import Cell
from mtlbench.system import disk
from mtlbench.system.errors import BusyError, Interrupted, MtlbenchError
from mtlbench.system.files import write_json

logger = logging.getLogger(__name__)
#: Bytes that a run holds back, so that on a full disk the reason of its failure can still be written.
RESERVE = 16384


def note_failure(cell: Cell, reason: str) -> None:
    """Leave the reason of a failure where `mtlbench status` and the report find it."""
    work = places.work_folder(cell.key)
    (work / "reserve").unlink(missing_ok=True)
    with suppress(OSError):  # the disk may be what failed
        write_json(work / "failure.json", {"cell": cell.path, "reason": reason[:500]})


def _reason(error: Exception) -> str:
    """Why a run failed, for the table of `mtlbench status` and the report."""
    if isinstance(error, MtlbenchError):
        return str(error)
    if disk.is_full(error):
        return disk.advice(error)
    return f"{type(error).__name__}: {error}"


@contextmanager
def event_log(cell: Cell, work: Path) -> Iterator[None]:
    """Append to the cell's own log, and leave the reason of a failure where the report finds it."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "failure.json").unlink(missing_ok=True)
    with suppress(OSError):
        (work / "reserve").write_bytes(bytes(RESERVE))
    handler = logging.FileHandler(work / "log.txt", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    root = logging.getLogger("mtlbench")
    root.addHandler(handler)
    try:
        yield
    except (Interrupted, BusyError) as error:
        logger.info("%s: %s", cell.path, error)
        raise
    except Exception as error:
        note_failure(cell, _reason(error))
        raise
    finally:
        (work / "reserve").unlink(missing_ok=True)
        root.removeHandler(handler)
        handler.close()


class Progress:
    """``progress.json`` for `mtlbench status`: written every two seconds at most."""

    def __init__(self, cell: Cell, epochs: int, path: Path, start: float, pid: int) -> None:
        self.base = {"cell": cell.path, "epochs": epochs, "host": socket.gethostname(), "pid": pid}
        self.path = path
        self.start = (time.monotonic(), start)
        self.written = float("-inf")

    def advance(self, position: float) -> bool:
        """Note the position in epochs; True when it was written."""
        now = time.monotonic()
        if now - self.written < 2:
            return False
        self.written = now
        rate = (now - self.start[0]) / max(position - self.start[1], 1e-9)
        write_json(self.path, {**self.base, "epoch": position, "seconds_per_epoch": rate, "updated": time.time()})
        return True
