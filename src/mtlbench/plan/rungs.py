"""Whether the rungs of a search, at which the worse trials of every row are stopped, can be climbed."""

from collections.abc import Mapping
from typing import Any

from mtlbench.plan import frozen
from mtlbench.plan.search_block import SearchBlock
from mtlbench.system.errors import ParamsError


def check(search: SearchBlock, weightings: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Later rungs rank at later epochs, all before a trial's last, and each stops some; raises ParamsError."""
    epochs, trials = 0, search.trials
    for number, rung in enumerate(search.rungs):
        if not epochs < rung.epochs < search.epochs:
            after = f"more than the {epochs} of the rung before and " if number else ""
            raise ParamsError(
                f"{where}.{number}.epochs: expected {after}fewer than the {search.epochs} epochs of a trial, found "
                f"{rung.epochs}"
            )
        if rung.keep >= trials:
            come = f"that rung {number} keeps" if number else "of a row"
            raise ParamsError(
                f"{where}.{number}.keep: expected fewer than the {trials} trials {come}, found {rung.keep}; a rung "
                "stops some"
            )
        epochs, trials = rung.epochs, rung.keep
    of = next((label for label, block in weightings.items() if search.rungs and frozen.of(block)), "")
    if of:
        raise ParamsError(
            f"{where}: expected none beside weightings.{of}, whose trials take the mean weights of whole trials of "
            f"'{frozen.of(weightings[of])}', and one that is stopped has none; take one of them away"
        )
