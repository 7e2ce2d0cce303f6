"""What a search with rungs (successive halving) stopped, and what that saved."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mtlbench.report.evidence.tuning import Tuned


@dataclass(frozen=True)
class Halving:
    """``stopped`` of ``trials`` by {epochs after which: how many}; ``saved`` of the ``planned`` epochs of all of them.

    ``hours`` is about what the saved epochs would have taken at the pace of the same trials; None where a manifest does
    not say. ``rungs`` are the blocks of params.yaml, ``epochs`` those of a whole trial.
    """

    rungs: Sequence[Mapping[str, int]]
    epochs: int
    trials: int
    stopped: Mapping[int, int]
    saved: int
    hours: float | None

    @property
    def planned(self) -> int:
        """Epochs of all trials to their ends."""
        return self.trials * self.epochs


def halving(rows: Sequence[Tuned], selection: Mapping[str, Any] | None) -> Halving | None:
    """What the rungs of a search did to its rows; None without rungs."""
    if not selection or not selection.get("rungs"):
        return None
    epochs = int(selection["epochs"])
    cut = [(row, trial, after) for row in rows for trial, after in row.stopped.items()]
    paces = [_pace(row, trial) for row, trial, _ in cut]
    hours = [(epochs - after) * pace / 3600 for (_, _, after), pace in zip(cut, paces, strict=True) if pace is not None]
    return Halving(
        selection["rungs"], epochs, sum(len(row.scores) for row in rows), Counter(after for *_, after in cut),
        sum(epochs - after for *_, after in cut), sum(hours) if len(hours) == len(cut) else None,
    )  # fmt: skip


def _pace(row: Tuned, trial: int) -> float | None:
    """Seconds that an epoch of the trial took; None where its manifest does not say."""
    run = row.runs[trial]
    seconds = run.facts.get("seconds_per_epoch") if run is not None else None
    return float(seconds) if isinstance(seconds, (int, float)) else None
