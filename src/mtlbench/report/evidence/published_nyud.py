"""Published rows of NYUD with 40 classes: where large pretrained networks stand, beside rows of another preparation.

They are shown to experiments on all of NYUv2 with 40 classes and to no others. Nothing is matched by architecture:
these networks are not ours, so the rows are an orientation and no comparison.
"""

import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from mtlbench.report.rows.grid import Grid, mean

#: The name that ``Dataset.published`` gives this table.
NAME = "nyud"
#: Column of the table -> (task, metric name, decimals, heading); None where our metric of the task is another measure.
_COLUMNS: dict[str, tuple[str, str | None, int, str]] = {
    "miou": ("segmentation", "miou", 2, "mIoU [%]\N{NO-BREAK SPACE}↑"),
    "rmse": ("depth", "rmse", 4, "RMSE [m]\N{NO-BREAK SPACE}↓"),
    "angle_mean": ("normals", "angle_mean", 2, "Angle mean [°]\N{NO-BREAK SPACE}↓"),
    "odsf": ("edges", None, 2, "odsF of SEISM [%]\N{NO-BREAK SPACE}↑"),
}


@dataclass(frozen=True)
class Line:
    """A network with its backbone (or our model with its weighting), where it is from, and a number per column."""

    network: str
    detail: str
    source: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Orientation:
    """(heading, decimals) of the columns whose task the experiment has, our rows and the published ones."""

    columns: tuple[tuple[str, int], ...]
    ours: tuple[Line, ...]
    published: tuple[Line, ...]


def load() -> pd.DataFrame:
    """The shipped table: mIoU and odsF in percent, RMSE in metres, mean angle in degrees; absent values are NaN."""
    text = importlib.resources.files("mtlbench.report.evidence").joinpath("published_nyud.csv")
    with importlib.resources.as_file(text) as path:
        return pd.read_csv(path, dtype={"backbone": str}).fillna({"backbone": ""})


def beside(grid: Grid) -> Orientation | None:
    """Our rows and the published ones in displayed units; None where the data are not NYUv2 with 40 classes."""
    kept = [name for name, (task, *_) in _COLUMNS.items() if task in grid.tasks]
    if grid.input.published != NAME or not kept:
        return None
    ours = tuple(
        Line(row.model_title, row.weighting_title, "this report", _ours(grid, row.slug, kept)) for row in grid.rows
    )
    published = tuple(
        Line(line["network"], line["backbone"], line["source"], tuple(float(line[name]) for name in kept))
        for _, line in load().iterrows()
    )
    return Orientation(tuple((_COLUMNS[name][3], _COLUMNS[name][2]) for name in kept), ours, published)


def _ours(grid: Grid, slug: str, kept: list[str]) -> tuple[float, ...]:
    """Means over seeds in displayed units; NaN for a metric that the task does not report."""
    known: Mapping[tuple[str, str | None], float] = {
        (column.task, column.metric.name): mean(grid.reported[slug][column.name]) * column.metric.scale
        for column in grid.columns
    }
    return tuple(known.get(_COLUMNS[name][:2], float("nan")) for name in kept)
