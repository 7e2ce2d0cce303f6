"""The numbers of the report in files for a paper's author: full precision, stored units, names as in params.yaml."""

import numpy as np
import pandas as pd

from mtlbench.metrics.segmentation import class_iou
from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.figures.classes import class_names, confusion
from mtlbench.report.rows.grid import SINGLE, Column, Row, mean, spread


def results(analysis: Analysis) -> pd.DataFrame:
    """One line per row and metric: mean and standard deviation over n seeds, 95 % interval; NaN where unknown.

    Columns: model, weighting, task (empty for Delta_m), metric, higher_is_better, n, mean, deviation, low, high.
    Shares are fractions of 1, depth is in the dataset's unit, angles are in degrees, Delta_m is in percent.
    """
    records = []
    for row in analysis.grid.rows:
        for column in analysis.columns:
            values = analysis.grid.reported[row.slug][column.name]
            low, high = _interval(analysis, row, column)
            records.append({
                "model": row.model, "weighting": row.weighting or SINGLE, "task": column.task,
                "metric": column.metric.name, "higher_is_better": column.metric.higher_is_better, "n": len(values),
                "mean": mean(values) + 0.0, "deviation": spread(values), "low": low, "high": high,
            })  # fmt: skip
    return pd.DataFrame(records)


def _interval(analysis: Analysis, row: Row, column: Column) -> tuple[float, float]:
    """Over images and seeds; over images alone where there is one seed."""
    tests = analysis.pairs[column.name]
    if row.slug not in tests.slugs:
        return np.nan, np.nan
    found = tests.intervals(row.slug)
    low, high = found.both if np.isfinite(found.both[0]) else found.images
    # The baseline's Delta_m is 0 exactly; the mean of its seeds may be off by a rounding error.
    middle = mean(analysis.grid.reported[row.slug][column.name])
    return min(low, middle), max(high, middle)


def classes(analysis: Analysis) -> pd.DataFrame:
    """One line per row and class: IoU (fraction; NaN for a class that neither occurs nor is predicted), test pixels.

    Of the final networks, all seeds added. Columns: model, weighting, class, iou, pixels; empty without segmentation.
    """
    records = []
    for row in analysis.grid.rows:
        matrix = confusion(analysis, row)
        if matrix is not None:
            lines = zip(class_names(analysis), class_iou(matrix), matrix.sum(1), strict=True)
            for name, iou, pixels in lines:
                records.append((row.model, row.weighting or SINGLE, name, float(iou), int(pixels)))
    return pd.DataFrame(records, columns=["model", "weighting", "class", "iou", "pixels"])
