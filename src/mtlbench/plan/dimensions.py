"""What the trials of a row vary: options of the optimiser, the model and the weighting, each with its range."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mtlbench.plan.blocks import Experiment, Optimizer, Schedule
from mtlbench.plan.options import PerTask, Search, Simplex
from mtlbench.plan.registry import Entry, entry
from mtlbench.plan.search_block import Range
from mtlbench.system.errors import ParamsError, nearest

#: Significant digits of a drawn number: for people, and so that every machine's logarithm gives the same key.
DIGITS = 4
#: The optimiser's options that a search may vary.
_OPTIMIZER = ("learning_rate", "weight_decay", "momentum")


@dataclass(frozen=True)
class Dimension:
    """One option that is searched. ``part`` is optimizer, training, model or weighting; ``tasks`` are of a simplex."""

    part: str
    option: str
    search: Search | None = None
    whole: bool = False
    tasks: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """How many coordinates of a quasi-random point it takes."""
        return len(self.tasks) - 1 if self.tasks else 1

    def value(self, point: Sequence[float]) -> Any:
        """The option's value at ``width`` coordinates, each from 0 to below 1."""
        if self.tasks:
            # The gaps between sorted uniform numbers are uniform on the simplex (Devroye, Non-Uniform Random Variate
            # Generation, 1986, V.2); times T, so that equal weights are 1 each.
            gaps = [high - low for low, high in pairwise([0.0, *sorted(point), 1.0])]
            return {task: _rounded(len(self.tasks) * gap) for task, gap in zip(self.tasks, gaps, strict=True)}
        assert self.search is not None
        if self.search.values is not None:
            return self.search.values[int(point[0] * len(self.search.values))]
        assert self.search.low is not None
        assert self.search.high is not None
        low, high = self.search.low, self.search.high
        if self.whole:
            low, high = low - 0.5, high + 0.5
        found = low * (high / low) ** point[0] if self.search.log and low > 0 else low + (high - low) * point[0]
        return int(min(max(round(found), self.search.low), self.search.high)) if self.whole else _rounded(found)

    def probes(self) -> list[Any]:
        """Values that must all be allowed for the option, so that every one that can be drawn is."""
        if self.search is None:
            return []
        if self.search.values is not None:
            return self._whole(self.search.values)
        # One between the ends is refused where an option takes some numbers only, such as the depths of a ResNet.
        return [*self._whole((self.search.low, self.search.high)), self.value([1 / math.pi])]

    def _whole(self, ends: Sequence[Any]) -> list[Any]:
        return [int(end) if self.whole and isinstance(end, float) and end.is_integer() else end for end in ends]


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def of_optimizer(experiment: Experiment, where: str) -> list[Dimension]:
    """What all rows search; raises ParamsError for what the optimiser has not or does not take."""
    assert experiment.search is not None
    found = []
    settings = experiment.training.optimizer.model_dump()
    for option, range_ in experiment.search.space.optimizer.items():
        here = f"{where}.search.space.optimizer.{option}"
        if option not in _OPTIMIZER:
            raise ParamsError(f"{here}: unknown key. {nearest(option, _OPTIMIZER)}")
        dimension = Dimension("optimizer", option, range_.search)
        for probe in dimension.probes():
            try:
                Optimizer(**{**settings, option: probe})
            except ValueError as error:
                raise ParamsError(f"{here}: {_message(error)}, found {probe}") from None
        found.append(dimension)
    return found


def of_schedule(experiment: Experiment, where: str) -> list[Dimension]:
    """The schedules that all rows search; [] without, ParamsError for what is none."""
    assert experiment.search is not None
    range_, here = experiment.search.space.schedule, f"{where}.search.space.schedule"
    if range_ is None:
        return []
    if range_.values is None:
        raise ParamsError(f"{here}: expected 'values', a list of schedules; found 'low' and 'high'")
    found = []
    for number, value in enumerate(range_.values):
        try:
            found.append(Schedule.model_validate(value).model_dump())
        except ValueError as error:
            raise ParamsError(f"{here}.values.{number}: {_message(error)}, found {value}") from None
    search = Search(values=tuple(found))
    if problem := search.problem():
        raise ParamsError(f"{here}: {problem}")
    return [Dimension("training", "schedule", search)]


def of_entry(
    kind: str,
    label: str,
    written: Mapping[str, Any],
    space: Mapping[str, Range | None],
    tasks: Sequence[str],
    where: str,
) -> list[Dimension]:
    """What the trials of a model or weighting vary of its own options.

    ``written`` is its block in the grid: what stands there is not searched. ``space`` replaces declared ranges, or adds
    some, or (None) leaves the option at its default. Raises ParamsError for an unknown option, one that stands in both
    places, and a value that the entry does not take.
    """
    found_entry = entry(kind, str(written.get("kind", label)))
    fields = found_entry.options.model_fields
    ranges = found_entry.searched
    for option in written:
        ranges.pop(option, None)
    for option, range_ in space.items():
        if option not in fields:
            raise ParamsError(f"{where}.{option}: unknown key. {nearest(option, fields)}")
        if option in written:
            raise ParamsError(
                f"{where}.{option}: expected no range for an option with a value, found {written[option]!r} under "
                f"{kind}.{label}; take one of them away"
            )
        ranges.pop(option, None)
        if range_ is not None:
            if PerTask in fields[option].metadata:
                raise ParamsError(f"{where}.{option}: expected null or nothing; weights of tasks have no range")
            ranges[option] = range_.search
    dimensions = [_dimension(kind, option, ranges[option], found_entry, tasks) for option in fields if option in ranges]
    for dimension in dimensions:
        _check_ends(dimension, found_entry, f"{where}.{dimension.option}")
    return dimensions


def _dimension(kind: str, option: str, range_: Search | Simplex, found: Entry, tasks: Sequence[str]) -> Dimension:
    part = kind[:-1]
    if isinstance(range_, Simplex):
        return Dimension(part, option, tasks=tuple(tasks))
    return Dimension(part, option, range_, whole=found.options.model_fields[option].annotation is int)


def _check_ends(dimension: Dimension, found: Entry, where: str) -> None:
    if dimension.search is not None and (problem := dimension.search.problem()):
        raise ParamsError(f"{where}: {problem}")
    for probe in dimension.probes():
        try:
            found.options.__pydantic_validator__.validate_assignment(
                found.options.model_construct(), dimension.option, probe
            )
        except ValueError as error:
            raise ParamsError(f"{where}: {_message(error)}, found {probe}") from None


def _message(error: ValueError) -> str:
    """The first problem that pydantic names, as other messages have it."""
    text = str(error.errors()[0]["msg"] if hasattr(error, "errors") else error).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]
