"""`mtlbench list`: what can be put in a grid."""

import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.table import Table
from ruamel.yaml import YAML
from ruamel.yaml.representer import RoundTripRepresenter

from mtlbench.plan import extensions, grid, keys, places, prepared, task_options
from mtlbench.plan.params import Params
from mtlbench.plan.registry import KINDS, entries
from mtlbench.runs.provenance import source_digest, versions
from mtlbench.system.console import Show, console, progress_bar
from mtlbench.system.errors import DamagedError, ParamsError, nearest
from mtlbench.system.files import read_json, write_json


def show(what: str, experiment: str | None, params: Callable[[], Params], options: bool = False) -> None:
    """Print one table; models are counted for an experiment's tasks and image size, or (``options``) have a line for
    each of their options."""
    known = ("experiments", "cells", *KINDS)
    if what not in known:
        raise ParamsError(f"list: unknown '{what}'. {nearest(what, known)}")
    if options:
        if what not in KINDS:
            raise ParamsError(f"list: --options belongs to {', '.join(KINDS)}, found '{what}'")
        table = _options(what)
    elif what == "models":
        table = _models(params(), experiment)
    elif what == "experiments":
        table = _experiments(params())
    elif what == "cells":
        table = _cells(params(), experiment)
    else:
        table = _entries(what)
    console().print(table)


class _WithNull(RoundTripRepresenter):
    """Writes null as the word; a class of its own, because ruamel keeps what is added for all writers of a class."""


_WithNull.add_representer(type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null"))


def expanded(params: Params, name: str) -> str:
    """The experiment as YAML, every value in its place: the same keys when it is written so in params.yaml."""
    return _yaml({name: _block(params, name)})


def alone(params: Params, name: str) -> str:
    """The experiment with its data set as YAML, for a person who lacks this params.yaml.

    Of a source that is an absolute path of this machine only the last part is told.
    """
    label = grid.experiment(params, name).dataset
    block = dict(params.datasets[label])
    if isinstance(source := block.get("source"), str) and Path(source).is_absolute():
        block["source"] = Path(source).name
    return _yaml({"datasets": {label: block}, "experiments": {name: _block(params, name)}})


def _block(params: Params, name: str) -> dict[str, Any]:
    return grid.experiment(params, name).model_dump(exclude_unset=True)


def _yaml(value: dict[str, Any]) -> str:
    yaml = YAML()
    yaml.Representer = _WithNull
    yaml.default_flow_style = None
    yaml.width = 120
    text = io.StringIO()
    yaml.dump(value, text)
    return text.getvalue()


def _entries(kind: str) -> Table:
    table = _table("name", "what it is", "options (default)", "source", "from")
    for found in entries(kind).values():
        options = ", ".join(
            name if field.is_required() else f"{name} ({field.default})"
            for name, field in found.options.model_fields.items()
        )
        place = "mtlbench" if found.shipped else str(found.path.parents[1])
        table.add_row(found.name, found.summary, options, found.constants.get("paper", ""), place)
    return table


def _options(kind: str) -> Table:
    """A line for each option: its default, what it means, what a search tries; four columns, for 80 characters."""
    table = _table("name", "option", "default", "what it is")
    table.columns[1].no_wrap = True
    for found in entries(kind).values():
        name = found.name
        for option, field in found.options.model_fields.items():
            default = "required" if field.is_required() else str(field.default)
            ranges = found.searched.get(option)
            searched = f"; searched: {ranges.text}" if ranges else ""
            table.add_row(name, option, default, f"{field.description or ''}{searched}")
            name = ""
    return table


def _models(params: Params, name: str | None) -> Table:
    experiment = grid.experiment(params, name or params.run[0])
    data = prepared.dataset(params, experiment.dataset).build()
    table = _table("name", "family", "parameters", "to one single", "GFLOP", "paper")
    table.columns[2].no_wrap, table.columns[3].max_width = True, 7  # so that papers have room in 80 columns
    arguments = task_options.arguments(data.tasks, experiment.tasks, experiment.task_options)
    rows = _counted(arguments, data.size)
    singles = {row["family"]: row["smallest"] for row in rows if "single" in row["name"].split("_")}
    for row in rows:
        ratio = f"{row['parameters'] / singles[row['family']]:.2f}" if row["family"] in singles else ""
        count = f"{row['parameters'] / 1e6:.2f} M"
        table.add_row(row["name"], row["family"], count, ratio, row["flops"], row["paper"])
    tasks = ", ".join(experiment.tasks)
    table.caption = (
        f"for {tasks}, an image of {data.size[0]}x{data.size[1]}; a single-task model is the sum of its "
        f"{len(experiment.tasks)} networks"
    )
    return table


def _counted(tasks: Mapping[str, Mapping[str, Any]], size: tuple[int, int]) -> list[dict[str, Any]]:
    """What :func:`_count` gives, kept in a file as long as no source file changes: counting starts torch and takes
    seconds."""
    source = [source_digest(), *(source_digest(folder) for folder in extensions.folders())]
    path = places.counts(keys.key({"source": source, "versions": versions(), "tasks": dict(tasks), "size": list(size)}))
    with suppress(FileNotFoundError, DamagedError):
        return list(read_json(path))
    with progress_bar("counting, once for this code") as told:
        rows = _count(tasks, size, told)
    for old in path.parent.glob("*.json"):
        old.unlink()
    write_json(path, rows)
    return rows


def _count(tasks: Mapping[str, Mapping[str, Any]], size: tuple[int, int], told: Show) -> list[dict[str, Any]]:
    """A row for each model that predicts what these tasks are, for images of ``size``: what the table shows, numbers
    not yet in words; ``smallest`` are the parameters of its first network. ``told`` hears which is being counted."""
    from mtlbench.models._cost import blueprint, forward_flops, parameter_count
    from mtlbench.tasks import make_tasks

    made = make_tasks(tasks)
    channels = {name: task.channels for name, task in made.items()}
    rows = []
    for done, found in enumerate(entries("models").values(), start=1):
        told(done, len(entries("models")), found.name)
        kind = found.load()
        if kind.predicts not in {task.predicts for task in made.values()}:
            continue
        alone = [{task: number} for task, number in channels.items()] if kind.single_task else [channels]
        models = [blueprint(found.name, subset, {}) for subset in alone]
        counts = [parameter_count(model) for model in models]
        try:
            kind.check_size(*size)
            flops = f"{sum(forward_flops(model, size) for model in models) / 1e9:.1f}"
        except ParamsError:
            flops = f"needs multiples of {kind.size_multiple}"
        rows.append({"name": found.name, "family": kind.family, "parameters": sum(counts), "smallest": counts[0],
                     "flops": flops, "paper": kind.paper})  # fmt: skip
    return rows


def _experiments(params: Params) -> Table:
    table = _table("name", "title", "dataset", "models", "weightings", "seeds", "cells")
    for name, found in params.experiments.items():
        cells = len(grid.every_cell(params, name))
        table.add_row(
            name, found.title, found.dataset, ", ".join(found.models), ", ".join(found.weightings),
            str(len(found.seeds)), str(cells),
        )  # fmt: skip
    return table


def _cells(params: Params, name: str | None) -> Table:
    table = _table("cell", "tasks", "key")
    for experiment in [name] if name else params.run:
        for cell in grid.every_cell(params, experiment):
            table.add_row(cell.path, ", ".join(cell.tasks), cell.key)
    return table


def _table(*columns: str) -> Table:
    table = Table(title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == columns[0])
    return table
