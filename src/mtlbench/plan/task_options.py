"""The tasks of an experiment: what its data say of them, and the options that it sets itself.

What an experiment does not set enters no spec, so keys are what they were before there was a choice.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mtlbench.plan.registry import check_options
from mtlbench.system.errors import ParamsError, nearest

#: {task: {option: value}}.
Options = Mapping[str, Mapping[str, Any]]


def arguments(stored: Options, wanted: Sequence[str], options: Options) -> dict[str, dict[str, Any]]:
    """{task: arguments of its constructor} of the tasks ``wanted``: what the data say, and over it ``options``."""
    return {name: {**stored[name], **options.get(name, {})} for name in wanted}


def checked(stored: Options, wanted: Sequence[str], options: Options, where: str) -> dict[str, dict[str, Any]]:
    """``options`` with checked values, for specs; raises ParamsError for an unknown task, option or value."""
    found = {}
    for name, given in options.items():
        if name not in wanted:
            raise ParamsError(f"{where}: '{name}' is not one of the experiment's tasks. {nearest(name, wanted)}")
        known = arguments(stored, [name], options)[name]
        kind = known.pop("kind", name)
        complete = check_options("tasks", kind, known, f"{where}.{name}")
        found[name] = {option: complete[option] for option in given}
    return {name: chosen for name, chosen in found.items() if chosen}
