"""Checkpoints to resume from: atomic, self-verifying, never executed.

The file name carries the position and the digest of the content, ``state-<epoch>-<step>.<sha256, 16 digits>.pt``,
so a truncated or flipped file is noticed and the previous one is used. The last two are kept.
"""

import io
import logging
import pickle
import re
from pathlib import Path
from typing import Any

import torch

from mtlbench.system.files import atomic_writer, digest

logger = logging.getLogger(__name__)
_NAME = re.compile(r"state-(\d{6})-(\d{6})\.([0-9a-f]{16})\.pt")
_KEEP = 2


def save(folder: Path, epoch: int, step: int, state: dict[str, Any]) -> Path:
    """Write one checkpoint and remove all but the last two; ``epoch`` and ``step`` are the next to run."""
    import hashlib

    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    path = folder / f"state-{epoch:06d}-{step:06d}.{hashlib.sha256(content).hexdigest()[:16]}.pt"
    with atomic_writer(path) as file:
        file.write(content)
    for old in _found(folder)[_KEEP:]:
        old.unlink(missing_ok=True)
    return path


def load(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """The newest whole checkpoint, or None. Tensors only: nothing in the file is executed.

    One that is damaged, or holds anything else than tensors and plain values, is removed and the one before it used.
    """
    for path in _found(folder):
        if digest(path)[:16] != _NAME.fullmatch(path.name)[3]:  # type: ignore[index]
            logger.warning("%s is damaged (its digest is wrong): using the checkpoint before it", path.name)
            path.unlink()
            continue
        try:
            return torch.load(path, map_location=device, weights_only=True)
        except pickle.UnpicklingError:
            logger.warning("%s holds more than tensors, which is refused: using the checkpoint before it", path.name)
            path.unlink()
    return None


def _found(folder: Path) -> list[Path]:
    """Checkpoints, newest position first."""
    return sorted((p for p in folder.glob("state-*.pt") if _NAME.fullmatch(p.name)), key=lambda p: p.name, reverse=True)
