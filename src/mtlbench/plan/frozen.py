"""Weightings of a grid that are fixed weights with the mean weights of another one: ``frozen: {of: dwa}``.

They answer whether a method's changing weights do more than their mean (reference: Gama and Grassi 2025, arXiv
2505.10347). Each run of such a row takes the means over the epochs of the same run of the other row.
"""

from collections.abc import Mapping
from typing import Any

from mtlbench.system.errors import ParamsError, nearest

_OF = "of"


def of(block: Mapping[str, Any]) -> str:
    """The label whose mean weights are taken; "" for an ordinary weighting."""
    return str(block[_OF]) if set(block) == {_OF} else ""


def written(block: Mapping[str, Any]) -> dict[str, Any]:
    """The block of the entry that trains it."""
    return {"kind": "static"} if of(block) else dict(block)


def check(label: str, weightings: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """The other weighting is one of the same experiment, and not frozen itself; raises ParamsError."""
    other = of(weightings[label])
    if not other:
        return
    measured = [name for name, block in weightings.items() if not of(block)]
    if other not in measured:
        raise ParamsError(f"{where}.of: expected another weighting of the experiment, found '{other}'. "
                          f"{nearest(other, measured)}")  # fmt: skip
