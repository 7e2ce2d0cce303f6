"""The state of a run between two steps: taken for a checkpoint, and put back."""

from collections.abc import Mapping
from typing import Any

from mtlbench.training.segments import changes, continued
from mtlbench.training.trainer import Trainer

#: Raised by hand when the form of a state changes.
FORMAT = 1


def take(trainer: Trainer) -> dict[str, Any]:
    """Everything that the run needs to go on from its next step, as tensors and plain values."""
    return {
        "format": FORMAT,
        "key": trainer.identity.key,
        "cell": trainer.identity.cell,
        "data": dict(trainer.identity.data),
        "segments": trainer.segments,
        "epoch": trainer.epoch,
        "step": trainer.step,
        "model": trainer.model.state_dict(),
        "weighting": trainer.weighting.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "meter": trainer.meter.state_dict(),
        "bad": trainer.bad,
        "rows": trainer.rows,
        "best": trainer.best,
        "seconds": trainer.seconds,
    }


def put(trainer: Trainer, state: Mapping[str, Any]) -> list[str]:
    """Go on from a usable state (see ``usable.py``); returns the names of what is not as it was when it was saved."""
    trainer.model.load_state_dict(state["model"])
    trainer.weighting.load_state_dict(state["weighting"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    trainer.meter.load_state_dict(state["meter"])
    trainer.bad, trainer.best, trainer.rows = state["bad"], state["best"], state["rows"]
    trainer.epoch, trainer.step = state["epoch"], state["step"]
    now = trainer.segments[-1] | {"epoch": trainer.epoch, "step": trainer.step}
    changed = changes(state["segments"][-1], now)
    trainer.segments = continued(state["segments"], now)
    return changed
