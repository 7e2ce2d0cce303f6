"""Options that several entries have, with what they accept; read without importing torch."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field


@dataclass(frozen=True)
class Search:
    """In an option's annotation: what a search tries, from ``low`` to ``high`` (evenly, or evenly in the logarithm) or
    one of ``values``. An option without it keeps its default."""

    low: float | None = None
    high: float | None = None
    log: bool = False
    values: tuple[Any, ...] | None = None

    def problem(self) -> str | None:
        """Why nothing can be drawn from it, in the words of an error message; None when it can."""
        if self.values is not None:
            if self.low is not None or self.high is not None or self.log:
                return "expected either 'values' or 'low' and 'high'"
            return self._problem_of_values(self.values)
        if self.low is None or self.high is None:
            return "expected 'low' and 'high', or 'values'"
        if not math.isfinite(self.high - self.low):
            return f"expected finite 'low' and 'high', found {self.low:g} and {self.high:g}"
        if not self.low < self.high:
            return f"expected 'low' below 'high', {self.low:g} is not below {self.high:g}"
        if self.log and self.low <= 0:
            return f"expected 'low' above 0 for a logarithmic range, {self.low:g} is not"
        return None

    @staticmethod
    def _problem_of_values(values: tuple[Any, ...]) -> str | None:
        if not values:
            return "expected at least one of 'values'"
        twice = [value for number, value in enumerate(values) if value in values[:number]]
        return f"expected different 'values', found {twice[0]!r} twice" if twice else None

    @property
    def text(self) -> str:
        """For people: "0.5 to 5, log" or "0, 0.9"."""
        if self.values is not None:
            return ", ".join(map(str, self.values))
        return f"{self.low:g} to {self.high:g}{', log' if self.log else ''}"


class Simplex:
    """In the annotation of a :class:`PerTask` option: a search tries weights of the simplex, all that add up to T."""

    text = "the simplex"


class Later:
    """In the annotation of an option that came when there were results without it: at its default it is left out of
    specs, so that their keys stay."""


#: Of a SegNet: 1 gives 64, 128, 256, 512, 512 (or what the model says).
Width = Annotated[float, Field(gt=0, le=16, description="factor on the numbers of filters")]
#: Layers of a ResNet.
Depth = Annotated[Literal[18, 34, 50, 101], Field(description="layers of the ResNet")]
#: Of networks that stand on one of several.
Backbone = Annotated[
    Literal["resnet18", "resnet34", "resnet50", "resnet101", "hrnet18s"],
    Field(description="a ResNet of so many layers, or HRNet-18-small-v2"),
]
#: Layers of a VGG.
VGGDepth = Annotated[Literal[11, 13, 16, 19], Field(description="layers of the VGG")]
#: Where a backbone's first weights come from.
Weights = Annotated[
    str, Field(description="'none', 'imagenet' or a file with the state of torchvision's network of that depth")
]
#: Of networks whose domains share BatchNorm layers.
BatchNorm = Annotated[
    Literal["shared", "statistics", "affine"] | None,
    Field(
        description="BatchNorm of what domains share: one for all, with running statistics for each, or also with "
        "scale and offset for each; null: statistics where tasks have images of their own, else shared"
    ),
]
#: Of the DeepLab heads.
Dropout = Annotated[float, Field(ge=0, lt=1, description="dropout in the DeepLab heads"), Search(0.0, 0.7)]
#: Of Swin transformers: the chance with which the last block of the network is left out in training.
StochasticDepth = Annotated[
    float, Field(ge=0, lt=1, description="chance that the last block is skipped in training; rises from 0 by block")
]
#: Of networks whose experts belong to one task or to all.
OwnExperts = Annotated[int, Field(ge=1, description="experts of each task")]
SharedExperts = Annotated[int, Field(ge=1, description="experts of all tasks")]


class OneTask:
    """In an option's annotation: the name of one of the experiment's tasks, or ""; checked at planning."""


class PerTask:
    """In an option's annotation: a mapping with a value for every task of the experiment, checked at planning."""


#: Fixed weights of the tasks.
TaskWeights = Annotated[
    dict[str, Annotated[float, Field(ge=0)]] | None,
    Field(description="{task: weight} for every task, none below 0; null: 1 for every task"),
    PerTask,
]


def _tree(paths: dict[str, list[int]] | None) -> dict[str, list[int]] | None:
    """Raise ValueError when tasks that have parted meet again."""
    for one in paths or {}:
        for other, path in (paths or {}).items():
            equal = [mine == theirs for mine, theirs in zip((paths or {})[one], path, strict=True)]
            if equal != sorted(equal, reverse=True):
                raise ValueError(
                    f"expected a tree, but '{one}' and '{other}' part at one level and meet at a later one"
                )
    return paths


#: Of a ResNet that branches: which node each task's path goes through at the stem and at each of the four layers.
Branching = Annotated[
    dict[str, Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=5, max_length=5)]] | None,
    Field(
        description="{task: its node's number at the stem and at the four layers}, equal where tasks share; null: "
        "learned"
    ),
    AfterValidator(_tree),
    PerTask,
]
