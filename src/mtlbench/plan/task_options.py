"""The tasks of an experiment: what its data say of them, and the options that it sets itself.

What an experiment does not set enters no spec, so keys are what they were before there was a choice.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mtlbench.plan.registry import check_options, entries
from mtlbench.system.errors import ParamsError, nearest

#: {task: {option: value}}.
Options = Mapping[str, Mapping[str, Any]]


def available(stored: Options) -> dict[str, dict[str, Any]]:
    """{task: arguments of its constructor} of a data set's own tasks and of those that are made from one of them."""
    return {**{name: dict(given) for name, given in stored.items()}, **{name: {} for name in _derived(stored)}}


def arguments(stored: Options, wanted: Sequence[str], options: Options) -> dict[str, dict[str, Any]]:
    """{task: arguments of its constructor} of the tasks ``wanted``: what the data say, and over it ``options``."""
    known = available(stored)
    return {name: {**known[name], **options.get(name, {})} for name in wanted}


def checked(stored: Options, wanted: Sequence[str], options: Options, where: str) -> dict[str, dict[str, Any]]:
    """The options for specs: those given, with checked values, and all of a task that the data do not hold.

    Raises ParamsError for an unknown task, option or value.
    """
    for name in options:
        if name not in wanted:
            raise ParamsError(f"{where}: '{name}' is not one of the experiment's tasks. {nearest(name, wanted)}")
    found, derived = {}, _derived(stored)
    for name in (name for name in wanted if options.get(name) or name in derived):
        known = arguments(stored, [name], options)[name]
        complete = check_options("tasks", known.pop("kind", name), known, f"{where}.{name}")
        found[name] = complete if name in derived else {option: complete[option] for option in options[name]}
    return found


def _derived(stored: Options) -> list[str]:
    return [
        name for name, one in entries("tasks").items()
        if name not in stored and one.constants.get("derived_from", "") in stored
    ]  # fmt: skip
