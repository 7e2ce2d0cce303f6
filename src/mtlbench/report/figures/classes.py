"""Segmentation class by class: IoU bars and confusion matrices."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import seaborn as sns

from mtlbench.metrics.segmentation import class_iou
from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.figures.style import BASELINE, Picture, new_figure, save, styled, tidy
from mtlbench.report.rows.grid import Row
from mtlbench.report.rows.text import DASH
from mtlbench.system.colours import COLOURS
from mtlbench.tasks import Labels


def class_names(analysis: Analysis) -> list[str]:
    """Names of the classes; empty without segmentation."""
    task = analysis.grid.tasks.get(analysis.grid.labelled)
    return list(task.maps.names) if task is not None and isinstance(task.maps, Labels) else []


def confusion(analysis: Analysis, row: Row) -> np.ndarray | None:
    """Confusion matrix (K, K) of a row's final networks added over seeds; None when it is not known."""
    evidence = analysis.evidence.get(row.slug)
    return None if evidence is None else evidence.totals.get(analysis.grid.labelled, {}).get("confusion")


def _confusions(analysis: Analysis, rows: Iterable[Row | None]) -> list[tuple[Row, np.ndarray]]:
    """The rows whose matrix is known, in their order."""
    found = [(row, confusion(analysis, row)) for row in rows if row is not None]
    return [(row, matrix) for row, matrix in found if matrix is not None]


def class_bars(analysis: Analysis, folder: Path, most: int = 6) -> Picture | None:
    """IoU of every class that occurs for the baseline and the best row of each model, commonest class first."""
    best = sorted((row for row in analysis.leaders if not row.single_task), key=analysis.ranking.index)[: most - 1]
    shown = [row for row in analysis.leaders if row is analysis.grid.baseline or row in best]
    known = _confusions(analysis, shown)
    if not known:
        return None
    share = known[0][1].sum(1)
    order = [k for k in np.argsort(-share, kind="stable") if share[k]]
    names = np.array(class_names(analysis))[order]
    shares = 100 * share[order] / max(share.sum(), 1)
    multi = iter(COLOURS)
    with styled():
        height = 0.8 / len(known)
        figure = new_figure(5.6, (0.13 * len(known) + 0.13) * len(names) + 1.1)
        axes = figure.subplots()
        for i, (row, matrix) in enumerate(known):
            colour = BASELINE if row.single_task else next(multi)
            values = 100 * class_iou(matrix)[order]
            axes.barh(np.arange(len(names)) - 0.4 + height * (i + 0.5), np.nan_to_num(values), height * 0.92,
                      color=colour, label=row.label)  # fmt: skip
            label_empty(axes, np.arange(len(names)) - 0.4 + height * (i + 0.5), values, colour)
        axes.set_yticks(
            range(len(names)), [f"{name}  ({part:.1f} %)" for name, part in zip(names, shares, strict=True)]
        )
        axes.set_ylim(len(names) - 0.45, -0.55)
        axes.set_xlabel("IoU [%]")
        axes.tick_params(axis="y", length=0)
        tidy(axes, "x")
        figure.legend(loc="outside upper left", ncols=1)
        caption = (
            "Intersection over union of each class (share of the valid test pixels in brackets) for the single-task "
            "baseline and the best row of each model; final networks, all seeds together."
        )
        return save(figure, folder, "class_iou", caption, f"Bars for {len(names)} classes, the commonest above")


def label_empty(axes: Any, places: np.ndarray, values: np.ndarray, colour: str) -> None:
    """Write 0.0 where a bar has no length, and a dash where there is no IoU."""
    for place, value in zip(places, values, strict=True):
        if not value > 0:
            axes.text(0.3, place, DASH if np.isnan(value) else "0.0", va="center", fontsize=5.5, color=colour)


def confusions(analysis: Analysis, folder: Path) -> Picture | None:
    """Row-normalised confusion matrices of the baseline and of the best row."""
    candidates = [analysis.grid.baseline, next((r for r in analysis.ranking if not r.single_task), None)]
    known = _confusions(analysis, candidates)
    if not known:
        return None
    names = class_names(analysis)
    with styled():
        side = min(4.3, 0.2 * len(names) + 1.7)
        figure = new_figure(side * len(known) + 0.5, side)
        panels = figure.subplots(1, len(known), squeeze=False)[0]
        for axes, (row, counts) in zip(panels, known, strict=True):
            matrix = counts.astype(float)
            shares = 100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
            sns.heatmap(shares, ax=axes, cmap="Blues", vmin=0, vmax=100, square=True,
                        linewidths=0.3, linecolor="#F2F3F5",
                        xticklabels=names, yticklabels=names if row is known[0][0] else False, cbar=row is known[-1][0],
                        cbar_kws={"label": "share of the true class [%]", "shrink": 0.7})  # fmt: skip
            axes.set_title(row.label)
            axes.set_xlabel("predicted")
            axes.set_ylabel("true" if row is known[0][0] else "")
            axes.tick_params(length=0, labelsize=7.5 if len(names) <= 20 else 5)
        caption = "Confusion matrices of the final networks, all seeds together; every line adds up to 100 %."
        return save(
            figure, folder, "confusion", caption, f"Matrices of {len(names)} true by {len(names)} predicted classes"
        )
