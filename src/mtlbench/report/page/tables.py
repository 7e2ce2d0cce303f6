"""The comparison table, as data and as records of a CSV file."""

from dataclasses import dataclass

import numpy as np

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.rows.grid import SINGLE, Column, Row, mean, spread
from mtlbench.report.rows.score import largest_errors, scores
from mtlbench.report.rows.text import DASH, cell_text, heading, number, task_title


@dataclass(frozen=True)
class TableCell:
    """One number of the table: as text, as a value to sort by, how it is marked and why it may be missing."""

    text: str
    value: float
    mark: str = ""
    reason: str = ""


@dataclass(frozen=True)
class TableRow:
    """One row: names, number of seeds, the cells in the order of the columns, mean rank, #P and the score S.

    ``model`` and ``weighting`` are for people, ``names`` are both as in params.yaml.
    """

    slug: str
    model: str
    weighting: str
    names: tuple[str, str]
    single_task: bool
    seeds: int
    wanted: int
    cells: tuple[TableCell, ...]
    rank: TableCell
    parameters: TableCell
    score: TableCell
    reason: str


@dataclass(frozen=True)
class Table:
    """The comparison of all rows, with the constant prediction as the last, unranked line."""

    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    constant: tuple[TableCell, ...]
    #: Whether the rows have a score S (of the Visual Decathlon).
    scored: bool = False

    @property
    def groups(self) -> list[tuple[str, int]]:
        """(title, number of columns) of the upper heading line."""
        found: list[tuple[str, int]] = []
        for column in self.columns:
            title = task_title(column.task) if column.task else "Δm vs single-task"
            if found and found[-1][0] == title:
                found[-1] = (title, found[-1][1] + 1)
            else:
                found.append((title, 1))
        return found


def comparison_table(analysis: Analysis) -> Table:
    """All rows against all metrics."""
    rows = tuple(_row(analysis, row) for row in analysis.grid.rows)
    constant = tuple(_constant(analysis, column) for column in analysis.columns)
    return Table(analysis.columns, rows, constant, largest_errors(analysis.grid) is not None)


def _row(analysis: Analysis, row: Row) -> TableRow:
    reason = "; ".join(dict.fromkeys(f"seed {cell.cell.seed}: {cell.missing}" for cell in row.missing))
    values = analysis.grid.reported[row.slug]
    cells = []
    for column in analysis.columns:
        found = values[column.name]
        text = cell_text(column, mean(found), spread(found))
        mark = analysis.marks[column.name].get(row.slug, "")
        cells.append(TableCell(text, mean(found), mark, _dash_reason(text, reason)))
    points = scores(analysis.grid, row)
    score = score_text(mean(points), spread(points))
    rank, ratio = float(analysis.mean_rank[row.slug]), analysis.parameter_ratio[row.slug]
    return TableRow(
        row.slug, row.model_title, row.weighting_title, (row.model, row.weighting or SINGLE), row.single_task,
        len(row.seeds),
        len({cell.cell.seed for cell in row.cells}), tuple(cells),
        TableCell(number(rank, 2), rank, reason=_dash_reason(number(rank, 2), reason)),
        TableCell(number(ratio, 2), ratio, reason=_dash_reason(number(ratio, 2), reason or "no single-task baseline")),
        TableCell(score, mean(points), reason=_dash_reason(score, reason)),
        reason,
    )  # fmt: skip


def score_text(value: float, deviation: float) -> str:
    """S in whole points, with its deviation where there is one."""
    text = number(value, 0)
    return f"{text} ± {number(deviation, 0)}" if np.isfinite(deviation) else text


def _dash_reason(text: str, reason: str) -> str:
    return (reason or "not defined: a metric is missing or the baseline is 0") if text == DASH else ""


def _constant(analysis: Analysis, column: Column) -> TableCell:
    value = analysis.grid.input.constant.get(column.task, {}).get(column.metric.name)
    value = float("nan") if value is None else value
    reason = "" if column.task else "Delta_m of a constant is not a method's"
    return TableCell(cell_text(column, value, np.nan), value, reason=reason or "not computed")


def headings(table: Table) -> list[str]:
    names = [heading(c) if not c.task else f"{task_title(c.task)}: {heading(c)}" for c in table.columns]
    return ["Model", "Weighting", "n", *names, *["S ↑"] * table.scored, "Mean rank ↓", "#P ↓"]


def csv_records(table: Table) -> list[dict[str, object]]:
    """One record per row: mean, standard deviation and mark of every column in stored units are in summary.csv; here
    the numbers as printed, for spreadsheets."""
    names = headings(table)
    records = []
    for row in table.rows:
        values = [
            *row.names,
            row.seeds,
            *(c.text for c in row.cells),
            *[row.score.text] * table.scored,
            row.rank.text,
            row.parameters.text,
        ]
        records.append(dict(zip(names, values, strict=True)))
    last = ["constant prediction", "", "", *(cell.text for cell in table.constant), *[DASH] * table.scored, DASH, DASH]
    return [*records, dict(zip(names, last, strict=True))]
