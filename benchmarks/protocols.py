"""Two experiments with the same rows and test images side by side: what does another protocol change?

    python benchmarks/protocols.py rooms_zoom rooms_zoom_compat [--csv FILE]

Takes finished and committed runs; no data is needed. Every metric of the rows, tasks and seeds that both have: mean and
standard deviation over seeds, the difference with its 95 % interval over seeds and test images, and its p, alone and
corrected for all lines (Holm), as for the pairs of one page (docs/report.md).
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mtlbench.pipeline import take_shipped
from mtlbench.plan.params import load
from mtlbench.report.evidence.pairs import compare
from mtlbench.report.evidence.statistics import holm, image_weights, interval, resampled_metrics
from mtlbench.report.evidence.variance import Sample
from mtlbench.report.rows import text
from mtlbench.report.rows.cells import LoadedCell
from mtlbench.report.rows.collect import report_input
from mtlbench.report.rows.grid import Column, Grid, load_grid
from mtlbench.system.errors import ParamsError, exit_code


@dataclass(frozen=True)
class Line:
    """One metric of one row: values (seeds,) of both experiments in stored units, second minus first, and its p."""

    row: str
    column: Column
    first: np.ndarray
    second: np.ndarray
    interval: tuple[float, float]
    p_value: float


def lines(first: Grid, second: Grid) -> Iterator[Line]:
    """Every metric of every row that both grids have, over the seeds that both have, when these are two or more."""
    theirs = {row.slug: row for row in second.rows}
    for row in first.rows:
        for column in first.columns:
            if row.slug not in theirs or column not in second.columns:
                continue
            seeds = sorted({cell.cell.seed for cell in row.done})
            both = [(row.cell(column.task, seed), theirs[row.slug].cell(column.task, seed)) for seed in seeds]
            pairs = [(one, two) for one, two in both if one and two]
            if len(pairs) > 1:
                yield _line(row.label, column, first, pairs)


def _line(row: str, column: Column, grid: Grid, pairs: list[tuple[LoadedCell, LoadedCell]]) -> Line:
    scenes = [cell.scenes() for pair in pairs for cell in pair]
    if scenes[0] is None or any(one is None or not np.array_equal(one, scenes[0]) for one in scenes):
        raise ParamsError(f"{row}, {column.task}: the two experiments do not have the same test images.")
    weights = image_weights(scenes[0])

    def sample(cells: list[LoadedCell]) -> Sample:
        values = [cell.metrics["reported"][column.task][column.metric.name] for cell in cells]
        draws = [resampled_metrics(grid.tasks[column.task], c.per_image()[column.task], weights) for c in cells]
        seeds = tuple(cell.cell.seed for cell in cells)
        return Sample(seeds, np.array(values), np.stack([one[column.metric.name] for one in draws]))

    first, second = sample([one for one, _ in pairs]), sample([two for _, two in pairs])
    tests = compare({"first": first, "second": second}, len(np.unique(scenes[0])))
    variance, freedom = (float(part[1, 0]) for part in (tests.error.variance, tests.error.freedom))
    ends = interval(float(tests.difference[1, 0]), variance, freedom)
    return Line(row, column, first.values, second.values, ends, float(tests.p_value[1, 0]))


def table(found: list[Line], names: tuple[str, str]) -> list[dict[str, str]]:
    """The lines as they are shown, in the units and digits of the page."""
    shown = []
    for line, adjusted in zip(found, holm(np.array([line.p_value for line in found])), strict=True):
        metric = line.column.metric
        low, high = (text.number(end * metric.scale, metric.decimals) for end in line.interval)
        difference = text.number((line.second.mean() - line.first.mean()) * metric.scale, metric.decimals)
        shown.append(
            {"row": line.row, "metric": f"{line.column.task}: {text.heading(line.column)}"}
            | {
                name: text.cell_text(line.column, values.mean(), values.std(ddof=1))
                for name, values in zip(names, (line.first, line.second), strict=True)
            }
            | {"difference": difference, "95 %": f"[{low}, {high}]", "seeds": str(len(line.first))}
            | {"p": f"{line.p_value:.2g}", "p_holm": f"{adjusted:.2g}"}
        )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("experiments", nargs=2, metavar="EXPERIMENT", help="of params.yaml")
    parser.add_argument("--csv", type=Path, help="write the table to this file too")
    chosen = parser.parse_args()
    params = load(Path("params.yaml"))
    grids = []
    for name in chosen.experiments:
        take_shipped(params, name)
        grids.append(load_grid(report_input(params, name, partial=True)))
    shown = table(list(lines(*grids)), tuple(chosen.experiments))
    if not shown:
        raise ParamsError(f"no row has finished runs of the same two seeds in {' and in '.join(chosen.experiments)}.")
    print("| " + " | ".join(shown[0]) + " |\n|" + "---|" * len(shown[0]))
    for line in shown:
        print("| " + " | ".join(line.values()) + " |")
    if chosen.csv:
        with chosen.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(shown[0]))
            writer.writeheader()
            writer.writerows(shown)


if __name__ == "__main__":
    sys.exit(exit_code(main))
