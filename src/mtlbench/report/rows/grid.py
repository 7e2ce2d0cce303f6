"""Rows of the tables: cells joined over seeds, and the cells of a single-task model over tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mtlbench.metrics.delta_m import DEFINITIONS, delta_m
from mtlbench.metrics.metric import Metric
from mtlbench.report.rows.cells import LoadedCell, load_cell
from mtlbench.report.rows.inputs import ReportInput
from mtlbench.tasks import Labels, Task, make_tasks

#: What stands in the column "weighting" of a single-task row.
SINGLE = "single-task"


@dataclass(frozen=True)
class Column:
    """One column of the tables: a metric of a task, or a definition of Delta_m (``task`` is "")."""

    task: str
    metric: Metric

    @property
    def name(self) -> str:
        """``<task>_<metric>`` or ``delta_m_<definition>``, the name in files."""
        return f"{self.task}_{self.metric.name}" if self.task else self.metric.name

    @property
    def arrow(self) -> str:
        """Which direction is better."""
        return "↑" if self.metric.higher_is_better else "↓"


DELTA_COLUMNS = tuple(
    Column("", Metric(f"delta_m_{name}", display, "%", True, primary=name == "flat"))
    for name, display in zip(DEFINITIONS, ("Δm flat", "Δm task", "Δm primary"), strict=True)
)


@dataclass(frozen=True)
class Row:
    """One model with one weighting, over all its seeds."""

    model: str
    weighting: str
    cells: tuple[LoadedCell, ...]

    @property
    def single_task(self) -> bool:
        """Whether the row joins the single-task networks of one model."""
        return not self.weighting

    @property
    def model_title(self) -> str:
        """The model's name for people."""
        return self.cells[0].cell.model_title or self.model

    @property
    def family(self) -> str:
        """Of the model: networks of one family share a backbone."""
        return self.cells[0].cell.model_family

    @property
    def weighting_title(self) -> str:
        """The weighting's name for people; of a single-task row that it is one."""
        return SINGLE if self.single_task else self.cells[0].cell.weighting_title or self.weighting

    @property
    def weighting_kind(self) -> str:
        """The entry of the weighting, which a label may hide."""
        return self.cells[0].cell.weighting_kind or self.weighting

    @property
    def mean_of(self) -> str:
        """The label of the weighting whose mean weights it takes, "" for none."""
        return self.cells[0].cell.mean_of

    @property
    def label(self) -> str:
        """Model and weighting in one string, for people."""
        return f"{self.model_title} · {self.weighting_title}"

    @property
    def name(self) -> str:
        """Model and weighting in one string as params.yaml names them, for files."""
        return f"{self.model} · {self.weighting or SINGLE}"

    @property
    def slug(self) -> str:
        """The row's name in files."""
        return f"{self.model}.{self.weighting or 'single'}"

    @cached_property
    def done(self) -> tuple[LoadedCell, ...]:
        """The cells that have numbers."""
        return tuple(cell for cell in self.cells if not cell.missing)

    @property
    def missing(self) -> tuple[LoadedCell, ...]:
        """The cells that have none."""
        return tuple(cell for cell in self.cells if cell.missing)

    @property
    def seeds(self) -> list[int]:
        """Seeds for which every task has numbers, in ascending order."""
        wanted = {task for cell in self.cells for task in cell.cell.tasks}
        have: dict[int, set[str]] = {}
        for cell in self.done:
            have.setdefault(cell.cell.seed, set()).update(cell.cell.tasks)
        return sorted(seed for seed, tasks in have.items() if tasks >= wanted)

    def cell(self, task: str, seed: int) -> LoadedCell | None:
        """The finished cell that holds ``task`` for ``seed``."""
        return next((c for c in self.done if c.cell.seed == seed and task in c.cell.tasks), None)

    def values(self, seed: int, rule: str = "reported") -> dict[str, dict[str, float]]:
        """{task: {metric: value}} of one seed, joined over the cells; {} where nothing is known."""
        found: dict[str, dict[str, float]] = {}
        for cell in self.done:
            if cell.cell.seed == seed:
                found |= {task: dict(values) for task, values in cell.metrics.get(rule, {}).items()}
        return found


@dataclass(frozen=True)
class Grid:
    """All rows of an experiment with its tasks: what every table and figure is computed from."""

    input: ReportInput
    tasks: Mapping[str, Task]
    rows: tuple[Row, ...]

    @cached_property
    def titles(self) -> dict[str, str]:
        """{model or weighting: its name for people}."""
        names = {row.model: row.model_title for row in self.rows}
        return names | {row.weighting: row.weighting_title for row in self.rows if not row.single_task}

    @cached_property
    def trials(self) -> dict[str, tuple[LoadedCell, ...]]:
        """{row (``model/weighting``): the trials of its search by number}; {} without a search."""
        return {name: tuple(map(load_cell, found)) for name, found in self.input.trials.items()}

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The metrics of all tasks, in the order of the tables."""
        return tuple(Column(name, metric) for name, task in self.tasks.items() for metric in task.metrics)

    @cached_property
    def counted(self) -> tuple[Column, ...]:
        """The columns that enter Delta_m and mean ranks."""
        return tuple(column for column in self.columns if not column.metric.secondary)

    @cached_property
    def labelled(self) -> str:
        """The first task whose maps are class indices; "" without one."""
        return next((name for name, task in self.tasks.items() if isinstance(task.maps, Labels)), "")

    @cached_property
    def metrics(self) -> dict[str, Sequence[Metric]]:
        """{task: its metrics}."""
        return {name: task.metrics for name, task in self.tasks.items()}

    @cached_property
    def baseline(self) -> Row | None:
        """The single-task row that Delta_m is relative to."""
        return next((r for r in self.rows if r.single_task and r.model == self.input.baseline), None)

    @cached_property
    def several_baselines(self) -> bool:
        """Whether rows of another family stand beside single-task networks of their own."""
        return any(self.single_task_row(row.model) is not self.baseline for row in self.rows if not row.single_task)

    def single_task_row(self, model: str) -> Row | None:
        """The single-task row of the model's family: what its networks replace; else the baseline. None without one.

        Delta_m and #P are relative to the baseline whatever the family; this is for what is said of one network.
        """
        if self.baseline is None:
            return None
        families = {row.family for row in self.rows if row.model == model}
        own = [row for row in self.rows if row.single_task and row.family in families]
        return own[0] if len(own) == 1 and own[0].done else self.baseline

    @cached_property
    def unusable(self) -> tuple[tuple[str, str, str], ...]:
        """(cell, file, why) of every file of a cell that is not used, because it is not the finished run's."""
        cells = (cell for row in self.rows for cell in row.cells)
        return tuple((cell.cell.path, name, why) for cell in cells for name, why in sorted(cell.unusable.items()))

    @cached_property
    def unseen(self) -> str:
        """The split whose curve stands beside the training curve: "test", or "val" when only that was recorded.

        Under the protocol ``held_out`` the test set is not evaluated in every epoch unless params.yaml asks for it.
        """
        names = {name for row in self.rows for cell in row.done for name in cell.history}
        return "test" if any(name.startswith("test_") for name in names) or not names else "val"

    def baseline_values(self, rule: str = "reported") -> dict[str, dict[str, float]]:
        """{task: {metric: mean over seeds}} of the baseline; {} without one."""
        if self.baseline is None:
            return {}
        seeds = sorted({cell.cell.seed for cell in self.baseline.done})
        runs = [self.baseline.values(seed, rule) for seed in seeds]
        return {
            name: {m.name: mean([run[name].get(m.name, np.nan) for run in runs if name in run]) for m in task.metrics}
            for name, task in self.tasks.items()
        }

    def per_seed(self, row: Row, rule: str = "reported") -> dict[str, np.ndarray]:
        """{column name: values over the complete seeds} for all metrics and definitions of Delta_m; computed once."""
        if (row.slug, rule) not in self._per_seed:
            self._per_seed[row.slug, rule] = self._values(row, rule)
        return self._per_seed[row.slug, rule]

    @cached_property
    def _per_seed(self) -> dict[tuple[str, str], dict[str, np.ndarray]]:
        return {}

    def _values(self, row: Row, rule: str) -> dict[str, np.ndarray]:
        runs = [row.values(seed, rule) for seed in row.seeds]
        baseline = self.baseline_values(rule)
        found = {c.name: np.array([r.get(c.task, {}).get(c.metric.name, np.nan) for r in runs]) for c in self.columns}
        for definition, column in zip(DEFINITIONS, DELTA_COLUMNS, strict=True):
            found[column.name] = np.array([delta_m(run, baseline, self.metrics, definition) for run in runs])
        return found

    @cached_property
    def reported(self) -> dict[str, dict[str, np.ndarray]]:
        """{row slug: {column name: values over seeds}} of the reported numbers."""
        return {row.slug: self.per_seed(row) for row in self.rows}


def mean(values: Sequence[float] | np.ndarray) -> float:
    """The mean; NaN of nothing, without a warning."""
    return float(np.mean(values)) if len(values) else float("nan")


def spread(values: Sequence[float] | np.ndarray) -> float:
    """The sample standard deviation (n - 1); NaN for fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def load_grid(report: ReportInput) -> Grid:
    """Read all cells and arrange them: the baseline first, other single-task rows next, then the order given."""
    joined: dict[tuple[str, str], list[LoadedCell]] = {}
    for cell in report.cells:
        joined.setdefault(cell.row, []).append(load_cell(cell))
    rows = [Row(model, weighting, tuple(cells)) for (model, weighting), cells in joined.items()]
    order = sorted(rows, key=lambda row: (not (row.single_task and row.model == report.baseline), not row.single_task))
    return Grid(report, make_tasks(report.tasks), tuple(order))
