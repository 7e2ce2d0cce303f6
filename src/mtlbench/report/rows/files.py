"""The files of the rows: the tidy tables and the numbers for ``dvc metrics``, without statistics or figures."""

import io
from pathlib import Path

import pandas as pd

from mtlbench.report.rows import tidy
from mtlbench.report.rows.grid import Grid, load_grid, mean
from mtlbench.report.rows.inputs import ReportInput
from mtlbench.system.files import write_json, write_text


def write_summary(report: ReportInput, folder: Path) -> dict[str, Path]:
    """Write the tidy tables alone: summary.csv, curves.csv and metrics.json; returns {name: path}."""
    return write_tidy(load_grid(report), Path(folder))


def write_tidy(grid: Grid, folder: Path) -> dict[str, Path]:
    """Write the tidy tables of these rows; returns {name: path}."""
    paths = {name: folder / name for name in ("summary.csv", "curves.csv", "metrics.json")}
    write_csv(paths["summary.csv"], tidy.summary(grid))
    write_csv(paths["curves.csv"], tidy.curves(grid), digits=6)
    write_json(paths["metrics.json"], flat_metrics(grid))
    return paths


def flat_metrics(grid: Grid) -> dict[str, dict[str, float]]:
    """{row: {column: mean over seeds}} of the reported numbers, for ``dvc metrics``; what is missing is left out."""
    found = {}
    for row in grid.rows:
        means = {name: mean(values) for name, values in grid.reported[row.slug].items()}
        found[row.slug] = {name: round(value, 9) + 0.0 for name, value in means.items() if value == value}
    return {slug: values for slug, values in found.items() if values}


def write_csv(path: Path, frame: pd.DataFrame, digits: int = 12) -> None:
    """Write a table as UTF-8 CSV with Unix line ends, atomically; floats with ``digits`` significant digits."""
    buffer = io.StringIO()
    floats = frame.select_dtypes("float").columns
    frame = frame.assign(**{name: frame[name] + 0.0 for name in floats})  # no -0
    frame.to_csv(buffer, index=False, float_format=f"%.{digits}g", lineterminator="\n")
    write_text(path, buffer.getvalue())
