"""A cell's recipe: its spec in typed form, read here alone, for cells of today and for manifests of any day."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from mtlbench.plan.blocks import Protocol, Training


class ChosenEntry(BaseModel):
    """A model or a weighting: the entry's name, its version and the values of all its options."""

    model_config = ConfigDict(frozen=True)

    kind: str
    version: int
    options: dict[str, Any]


class Recipe(BaseModel):
    """What is trained, and how. ``dataset`` is the key of the prepared data."""

    model_config = ConfigDict(frozen=True)

    version: int
    dataset: str
    tasks: tuple[str, ...]
    task_options: dict[str, dict[str, Any]] = {}
    model: ChosenEntry
    weighting: ChosenEntry
    training: Training
    protocol: Protocol
    seed: int
    #: Epochs after which a trial of a search is stopped, to be ranked at a rung; None: it runs to its end.
    stop_after: int | None = None

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> "Recipe":
        """The recipe of a cell's spec; ValueError when it is not one. Parts that no training reads are left out."""
        return cls.model_validate(spec)
