"""What an experiment's rows are, in one file that stands alone: ``share.json``."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from mtlbench.metrics.metric import Metric
from mtlbench.plan import grid as plan
from mtlbench.plan import keys
from mtlbench.plan.blocks import Protocol, Training
from mtlbench.plan.params import Params
from mtlbench.plan.search_block import SearchBlock
from mtlbench.report.rows.collect import report_input
from mtlbench.report.rows.costs import cost
from mtlbench.report.rows.grid import DELTA_COLUMNS, Column, Grid, Row, load_grid, mean, spread
from mtlbench.system.errors import DataError

#: Settings of a training that a method may choose; the others are part of what makes rows comparable.
_CHOSEN = {"optimizer", "schedule", "processes"}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SharedColumn(_Frozen):
    """A metric of a task (``task`` "" for Delta_m) with what :class:`Metric` says of it."""

    task: str
    metric: str
    display: str
    unit: str
    scale: float
    decimals: int
    higher_is_better: bool
    primary: bool
    secondary: bool

    @property
    def column(self) -> Column:
        """The column of the tables."""
        facts = self.model_dump(exclude={"task", "metric"})
        return Column(self.task, Metric(name=self.metric, **facts))

    @property
    def name(self) -> str:
        """Its name in files."""
        return self.column.name


class SharedNumber(_Frozen):
    """Mean and sample standard deviation (None for one seed) over ``n`` seeds, in stored units."""

    mean: float
    deviation: float | None
    n: int


class SharedRow(_Frozen):
    """A model with a weighting; ``keys`` are those of its runs, which decide what was trained."""

    model: str
    weighting: str
    model_title: str
    weighting_title: str
    single_task: bool
    seeds: list[int]
    keys: list[str]
    parameters: float | None
    numbers: dict[str, SharedNumber]


class SharedData(_Frozen):
    """The data: ``key`` is that of the recipe of its prepared arrays, ``size`` (height, width), ``images`` by use."""

    kind: str
    key: str
    note: str
    size: tuple[int, int]
    images: dict[str, int]


class Shared(_Frozen):
    """An experiment: its data, its conditions, its rows. ``commits`` are those of the code that trained it."""

    format: Literal[1] = 1
    experiment: str
    title: str
    dataset: SharedData
    tasks: dict[str, dict[str, Any]]
    protocol: Protocol
    training: Training
    search: SearchBlock | None
    commits: list[str]
    columns: list[SharedColumn]
    rows: list[SharedRow]

    @property
    def conditions(self) -> dict[str, Any]:
        """What must be equal where rows are ranked together: data, tasks, protocol, search, training but optimiser and
        schedule."""
        return {
            "dataset": self.dataset.key,
            "tasks": self.tasks,
            "protocol": self.protocol.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json", exclude=_CHOSEN),
            "search": self.search.model_dump(mode="json") if self.search else None,
        }

    @property
    def board(self) -> str:
        """The key of the conditions."""
        return keys.key(self.conditions)


def of_experiment(params: Params, name: str) -> Shared:
    """The facts of an experiment of params.yaml whose cells are all there; DataError when some are not."""
    return shared(load_grid(report_input(params, name, partial=False)), plan.experiment(params, name).search)


def shared(grid: Grid, search: SearchBlock | None) -> Shared:
    """The facts of a complete experiment; ``search`` is its block of params.yaml. DataError when no run has numbers."""
    cells = [cell for row in grid.rows for cell in row.done]
    if not cells:
        one = grid.rows[0].missing[0]
        raise DataError(f"{grid.input.name}: none of its runs has numbers, the first: {one.cell.path}: {one.missing}")
    first = cells[0].facts
    block, report = first["dataset"], grid.input
    columns = [*grid.columns, DELTA_COLUMNS[0]]
    commits = {str(cell.manifest.provenance.get("commit") or "") for cell in cells if cell.manifest}
    return Shared(
        experiment=report.name,
        title=report.title,
        dataset=SharedData(
            kind=first["data_code"]["kind"], **{name: block[name] for name in ("key", "note", "size", "images")}
        ),
        tasks={name: dict(options) for name, options in report.tasks.items()},
        protocol=Protocol.model_validate(dict(report.protocol)),
        training=Training.model_validate(dict(report.training)),
        search=search,
        commits=sorted(commits - {""}),
        columns=[_column(column) for column in columns],
        rows=[_row(grid, row, columns) for row in grid.rows if row.seeds],
    )


def _column(column: Column) -> SharedColumn:
    metric = column.metric
    facts = {name: value for name, value in vars(metric).items() if name != "name"}
    return SharedColumn(task=column.task, metric=metric.name, **facts)


def _row(grid: Grid, row: Row, columns: list[Column]) -> SharedRow:
    values = {column.name: grid.reported[row.slug][column.name] for column in columns}
    numbers = {}
    for name, found in values.items():
        if len(found) and mean(found) == mean(found):
            deviation = spread(found)
            numbers[name] = SharedNumber(
                mean=mean(found), deviation=deviation if deviation == deviation else None, n=len(found)
            )
    return SharedRow(
        model=row.model, weighting=row.weighting, model_title=row.model_title, weighting_title=row.weighting_title,
        single_task=row.single_task, seeds=row.seeds, keys=sorted(cell.cell.key for cell in row.done),
        parameters=cost(row).parameters, numbers=numbers,
    )  # fmt: skip
