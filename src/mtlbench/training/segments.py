"""Under which code, device and threads each part of a run was trained, for its manifest."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mtlbench.runs import provenance
from mtlbench.training import device as devices

Segment = dict[str, Any]


def segment(device: torch.device, compiled: bool, code: Mapping[str, str], epoch: int = 0, step: int = 0) -> Segment:
    """What runs now, from the position that comes next: whatever the bits may depend on besides the spec."""
    record = {name: value for name, value in provenance.record().items() if name != "commit"}
    return {
        "epoch": epoch, "step": step, "code": dict(code), **record,
        "device": devices.describe(device), "threads": torch.get_num_threads(), "compiled": compiled,
    }  # fmt: skip


def continued(before: Sequence[Segment], now: Segment) -> list[Segment]:
    """The segments of a run that goes on: ``now`` opens another one where anything but the position differs."""
    return [*before, now] if changes(before[-1], now) else list(before)


def changes(old: Segment, new: Segment) -> list[str]:
    """The names of what differs, apart from the position."""
    names = sorted((old.keys() | new.keys()) - {"epoch", "step"})
    return [name for name in names if old.get(name) != new.get(name)]
