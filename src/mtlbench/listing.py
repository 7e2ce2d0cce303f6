"""`mtlbench list`: what can be put in a grid."""

import io
from collections.abc import Callable

from rich.table import Table
from ruamel.yaml import YAML

from mtlbench.plan import grid
from mtlbench.plan.params import Params
from mtlbench.plan.registry import KINDS, entries
from mtlbench.system.console import console
from mtlbench.system.errors import ParamsError, nearest


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


def expanded(params: Params, name: str) -> str:
    """The experiment as YAML, every value in its place: the same keys when it is written so in params.yaml."""
    yaml = YAML()
    yaml.default_flow_style = None
    yaml.width = 120
    yaml.representer.add_representer(
        type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    text = io.StringIO()
    yaml.dump({name: grid.experiment(params, name).model_dump(exclude_unset=True)}, text)
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
    """A line for each option: its default, what a search tries, what it means."""
    table = _table("name", "option", "default", "searched", "what it is")
    for found in entries(kind).values():
        for option, field in found.options.model_fields.items():
            default = "required" if field.is_required() else str(field.default)
            ranges = found.searched.get(option)
            table.add_row(found.name, option, default, ranges.text if ranges else "", field.description or "")
    return table


def _models(params: Params, name: str | None) -> Table:
    from mtlbench.models._cost import blueprint, forward_flops, parameter_count
    from mtlbench.tasks import make_tasks

    experiment = grid.experiment(params, name or params.run[0])
    data = grid.dataset(params, experiment.dataset).build()
    made = make_tasks({task: data.tasks[task] for task in experiment.tasks})
    tasks = {name: task.channels for name, task in made.items()}
    predicted = {task.predicts for task in made.values()}
    table = _table("name", "family", "parameters", "to one single", f"GFLOP at {data.size[0]}x{data.size[1]}", "paper")
    singles: dict[str, int] = {}
    rows = []
    for found in entries("models").values():
        kind = found.load()
        if kind.predicts not in predicted:
            continue
        alone = [{task: channels} for task, channels in tasks.items()] if kind.single_task else [tasks]
        models = [blueprint(found.name, subset, {}) for subset in alone]
        count = sum(parameter_count(model) for model in models)
        try:
            kind.check_size(*data.size)
            flops = f"{sum(forward_flops(model, data.size) for model in models) / 1e9:.1f}"
        except ParamsError:
            flops = f"needs multiples of {kind.size_multiple}"
        if "single" in found.name.split("_"):
            singles[kind.family] = parameter_count(models[0])
        rows.append((found.name, kind.family, count, flops, kind.paper))
    for label, family, count, flops, paper in rows:
        ratio = f"{count / singles[family]:.2f}" if family in singles else ""
        table.add_row(label, family, f"{count:,}", ratio, flops, paper)
    table.caption = f"for {', '.join(tasks)}; a single-task model is the sum of its {len(tasks)} networks"
    return table


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
