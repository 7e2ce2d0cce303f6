"""The block ``search:`` of an experiment: what every row may try, how often, and how one of the trials is chosen."""

from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from mtlbench.plan.block import Block, Seed
from mtlbench.plan.options import Search


class Range(Block):
    """Where the values of one option are drawn from: from ``low`` to ``high``, or one of ``values``."""

    low: Annotated[float | None, Field(description="the smallest value")] = None
    high: Annotated[float | None, Field(description="the largest value")] = None
    log: Annotated[bool, Field(description="evenly in the logarithm")] = False
    values: Annotated[list[Any] | None, Field(description="the values, each as likely as another")] = None

    @pydantic.model_validator(mode="after")
    def _possible(self) -> "Range":
        if problem := self.search.problem():
            raise ValueError(problem)
        return self

    @property
    def search(self) -> Search:
        """The same in the form in which entries declare it."""
        return Search(self.low, self.high, self.log, None if self.values is None else tuple(self.values))


_Options = dict[str, Range | None]


class Space(Block):
    """The ranges: of the optimiser, and of options of models and weightings in place of what they declare."""

    optimizer: Annotated[
        dict[str, Range], Field(min_length=1, description="{learning_rate, weight_decay or momentum: range}")
    ]
    schedule: Annotated[
        Range | None,
        Field(description="{values: [{name: constant}, {name: cosine}, ...]}: schedules; without, that of training"),
    ] = None
    weightings: Annotated[
        dict[str, _Options],
        Field(description="{label: {option: range in place of the declared one, or null to keep its default}}"),
    ] = {}
    models: Annotated[dict[str, _Options], Field(description="{label: {option: range}}")] = {}

    @pydantic.model_serializer(mode="wrap")
    def _without_defaults(self, dump: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Spaces without schedules are written as they were before there was a choice."""
        values = dump(self)
        if self.schedule is None:
            values.pop("schedule", None)
        return values


class Rung(Block):
    """Successive halving: a rung of the ladder that every row's trials climb, the worse ones only so far."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000, description="epochs after which the trials of a row are ranked")]
    keep: Annotated[int, Field(ge=1, le=10_000, description="how many of every row go on, the best on held-out images")]


class SearchBlock(Block):
    """The same chance for every row: equal trials on held-out images, one setting chosen, fresh seeds."""

    trials: Annotated[int, Field(ge=1, le=10_000, description="settings that every row tries, single-task rows too")]
    epochs: Annotated[int, Field(ge=1, le=1_000_000, description="epochs of a trial")]
    held_out: Annotated[
        float, Field(gt=0, lt=1, description="share of the training images, whole scenes, that trials are judged on")
    ]
    rule: Annotated[
        Literal["primary_gain"],
        Field(
            description="primary_gain: the trial with the largest mean relative gain of the tasks' primary metrics "
            "over the baseline's chosen trials, on the held-out images"
        ),
    ]
    seed: Annotated[Seed, Field(description="seed of every trial; none of the final runs' seeds")] = 1000
    space: Space
    rungs: Annotated[
        list[Rung],
        Field(description="successive halving: where the worse trials of every row are stopped; without, none is"),
    ] = []

    @pydantic.model_serializer(mode="wrap")
    def _without_defaults(self, dump: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Searches that stop nothing are written as they were before there was a choice."""
        values = dump(self)
        if not self.rungs:
            values.pop("rungs", None)
        return values
