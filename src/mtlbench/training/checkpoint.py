"""Checkpoints to resume from: atomic, self-verifying, never executed, never a dead end.

The file name carries the position and the digest of the content, ``state-<epoch>-<step>.<sha256, 16 digits>.pt``,
so a truncated or flipped file is noticed and the previous one is used. The last two are kept. What cannot be used is
renamed to ``unusable-state-...``, with a message, until the run is complete.
"""

import hashlib
import io
import logging
import os
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mtlbench.system.files import atomic_writer, digest

logger = logging.getLogger(__name__)
_NAME = re.compile(r"state-(\d{6})-(\d{6})\.([0-9a-f]{16})\.pt")
_ASIDE = "unusable-"
_KEEP = 2


def save(folder: Path, epoch: int, step: int, state: dict[str, Any]) -> Path:
    """Write one checkpoint and remove all but the last two; ``epoch`` and ``step`` are the next to run."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    path = folder / f"state-{epoch:06d}-{step:06d}.{hashlib.sha256(content).hexdigest()[:16]}.pt"
    with atomic_writer(path) as file:
        file.write(content)
    for old in _found(folder)[_KEEP:]:
        old.unlink(missing_ok=True)
    return path


def load(folder: Path, device: torch.device, problem: Callable[[Any], str]) -> dict[str, Any] | None:
    """The newest usable checkpoint, or None. Tensors only: nothing in a file is executed.

    ``problem`` says what is wrong with the content of a whole file, "" when nothing is. One that is damaged, holds
    anything else than tensors and plain values, or has a problem is set aside and the one before it used.
    """
    for path in _found(folder):
        state, wrong = _read(path, device)
        wrong = wrong or problem(state)
        if not wrong:
            return state
        _set_aside(path, wrong)
    return None


def remove(folder: Path) -> None:
    """Remove all checkpoints, also those that were set aside: the run is complete."""
    for path in [*folder.glob("state-*.pt"), *folder.glob(f"{_ASIDE}state-*.pt")]:
        if path.is_file():
            path.unlink()


def keep_newest(folder: Path) -> None:
    """Remove all checkpoints but the newest: the run waits, and many others with it."""
    for path in [*_found(folder)[1:], *folder.glob(f"{_ASIDE}state-*.pt")]:
        path.unlink(missing_ok=True)


def _read(path: Path, device: torch.device) -> tuple[Any, str]:
    """(content, "") or (None, what is wrong with the file)."""
    match = _NAME.fullmatch(path.name)
    assert match is not None
    if digest(path)[:16] != match[3]:
        return None, "is damaged (its digest is wrong)"
    try:
        with warnings.catch_warnings(action="ignore"):  # of files in pickle's own form, which are none of ours
            state = torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError:
        return None, "holds something else than tensors and plain values, which is refused"
    except (OSError, MemoryError, torch.OutOfMemoryError):
        raise  # of the machine, not of the file
    except Exception as error:  # whatever the reader makes of a file that is none of ours
        return None, f"is no checkpoint ({type(error).__name__})"
    position = (int(match[1]), int(match[2]))
    if isinstance(state, dict) and (state.get("epoch"), state.get("step")) != position:
        return None, "holds another position than its name says"
    return state, ""


def _set_aside(path: Path, wrong: str) -> None:
    aside = path.with_name(_ASIDE + path.name)
    os.replace(path, aside)
    logger.warning(
        "%s %s: set aside as %s; the checkpoint before it is used, without one the run starts anew",
        path.name, wrong, aside.name,
    )  # fmt: skip


def _found(folder: Path) -> list[Path]:
    """Checkpoints, newest position first."""
    found = (path for path in folder.glob("state-*.pt") if _NAME.fullmatch(path.name) and path.is_file())
    return sorted(found, key=lambda path: path.name, reverse=True)
