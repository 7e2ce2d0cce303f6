"""Settings for parts of a network that its model names, such as the fusion units between towers: ``training.parts``."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from mtlbench.plan.block import Block
from mtlbench.plan.registry import entry
from mtlbench.system.errors import ParamsError, nearest


class PartBlock(Block):
    """How one part is trained otherwise than the rest of its network."""

    rate_factor: Annotated[float, Field(gt=0, le=1e6, description="factor on the learning rate of its parameters")]


#: {part: its settings}.
Parts = Annotated[
    dict[str, PartBlock],
    Field(description="{part: {rate_factor:}} for parts that models name; models without the part are left alone"),
]


def names(kind: str) -> list[str]:
    """The parts that the model ``kind`` names."""
    return list(dict.fromkeys(name for name, _ in entry("models", kind).constants.get("parts", ())))


def of_model(training: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The training settings in the spec of a model: without parts that it does not have, so its key stays."""
    known = names(kind)
    kept = {name: block for name, block in training.get("parts", {}).items() if name in known}
    rest = {name: value for name, value in training.items() if name != "parts"}
    return rest | ({"parts": kept} if kept else {})


def check(parts: Iterable[str], kinds: Iterable[str], where: str) -> None:
    """Raise ParamsError unless one of the models ``kinds`` names each part."""
    known = list(dict.fromkeys(name for kind in kinds for name in names(kind)))
    for part in parts:
        if not known:
            raise ParamsError(f"{where}.{part}: no model of the experiment names parts; remove it, or add such a model")
        if part not in known:
            raise ParamsError(f"{where}.{part}: no model of the experiment has that part. {nearest(part, known)}")
