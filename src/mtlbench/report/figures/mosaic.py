"""Pictures and how they are put together: error maps, overlays, mosaics, the legend of colours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.patches import Patch

from mtlbench.report.figures.style import WIDTH, Picture, new_figure, save, styled
from mtlbench.report.rows.grid import Grid
from mtlbench.report.rows.text import task_title
from mtlbench.tasks import Directions, Labels, Task
from mtlbench.tasks._distance import DistanceTask
from mtlbench.tasks._draw import INVALID, class_colours

ERROR_COLOURS = "inferno"
#: How much of the label's colour covers the photograph.
_OVERLAY = 0.5
_WRONG = np.array([214, 39, 40], np.float32)


def error_picture(task: Task, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The error map as a picture (H, W, 3): black = none, bright = at or above the task's range, grey = no truth."""
    error = task.error(prediction, target)
    low, high, _ = task.error_range
    picture = colormaps[ERROR_COLOURS](np.clip((np.nan_to_num(error) - low) / (high - low), 0, 1))[..., :3]
    picture = (picture * 255).round().astype(np.uint8)
    picture[np.isnan(error)] = INVALID
    return picture


def overlay(photograph: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """A drawn map (H, W, 3) half transparent over its photograph (H, W, 3)."""
    return (photograph * (1 - _OVERLAY) + drawn * _OVERLAY).round().astype(np.uint8)


def wrong_over(photograph: np.ndarray, error: np.ndarray) -> np.ndarray:
    """The photograph in grey with wrong pixels (error map 1) in red."""
    grey = np.repeat((photograph @ np.array([0.299, 0.587, 0.114]))[..., None], 3, axis=2)
    share = np.where(np.nan_to_num(error) > 0, 0.6, 0.0)[..., None]
    return (grey * (1 - share) + _WRONG * share).round().astype(np.uint8)


def mosaic(pictures: Sequence[Sequence[np.ndarray | None]], columns: Sequence[str], lines: Sequence[str]) -> Any:
    """One figure of equally large pictures (lines x columns) with thin white gaps; None stays white."""
    height, width = next(p.shape[:2] for line in pictures for p in line if p is not None)
    gap = max(1, round(width / 60))
    high, wide = height + gap, width + gap
    canvas = np.full((high * len(lines) - gap, wide * len(columns) - gap, 3), 255, np.uint8)
    for i, line in enumerate(pictures):
        for j, picture in enumerate(line):
            if picture is not None:
                canvas[i * high : i * high + height, j * wide : j * wide + width] = picture
    with styled():
        figure = new_figure(WIDTH, (WIDTH - 1.3) * canvas.shape[0] / canvas.shape[1] + 0.4)
        axes = figure.subplots()
        axes.set_anchor("E")  # what the pictures do not need is room for the names on the left
        axes.imshow(canvas)
        longest = max(len(part) for name in columns for part in name.split("\n"))
        axes.set_xticks([j * wide + width / 2 for j in range(len(columns))], columns, fontweight="bold",
                        fontsize=min(9.0, 900 / len(columns) / longest))  # fmt: skip
        axes.set_yticks(
            [i * high + height / 2 for i in range(len(lines))], lines, fontsize=min(8.0, 110 / len(columns))
        )
        axes.xaxis.tick_top()
        axes.tick_params(length=0, colors="#1B1F24")
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure


def legend(grid: Grid, folder: Path) -> Picture:
    """What the colours of all pictures mean: classes, scales, error scales, missing ground truth."""
    with styled():
        bars = [(name, task) for name, task in grid.tasks.items() if isinstance(task, DistanceTask)]
        classes = next((task.maps.names for task in grid.tasks.values() if isinstance(task.maps, Labels)), ())
        figure = new_figure(WIDTH, 0.75 + 0.24 * -(-(len(classes) + 2) // 7))
        axes = figure.subplots(1, len(bars) + len(grid.tasks), squeeze=False)[0]
        for panel, (name, distance) in zip(axes, bars, strict=False):
            low, high = distance.display_range
            _bar(panel, distance.colours, low, high, f"{task_title(name)} [{distance.metrics[0].unit or 'ratio'}]")
        for panel, (name, task) in zip(axes[len(bars) :], grid.tasks.items(), strict=True):
            low, high, unit = task.error_range
            _bar(panel, ERROR_COLOURS, low, high, f"error: {task_title(name).lower()} [{unit or 'ratio'}]")
        patches = [
            Patch(color=tuple(colour / 255), label=text)
            for colour, text in zip(class_colours(len(classes)), classes, strict=True)
        ]
        patches.append(Patch(color=tuple(np.array(INVALID) / 255), label="no ground truth"))
        if any(isinstance(task.maps, Directions) for task in grid.tasks.values()):
            patches.append(Patch(facecolor="#8080FF", label="normals: red right, green up, blue to the camera"))
        figure.legend(handles=patches, loc="outside lower left", ncols=7, columnspacing=1.2, handlelength=1.2)
        return save(
            figure, folder, "legend", "What the colours mean.", f"Colour scales and {len(classes)} named colours"
        )


def _bar(axes: Any, name: str, low: float, high: float, title: str) -> None:
    axes.imshow(np.linspace(0, 1, 256)[None], aspect="auto", cmap=name, extent=(low, high, 0, 1))
    axes.set_yticks([])
    axes.set_box_aspect(0.07)
    axes.set_title(title, fontsize=8, fontweight="normal")
    axes.set_xticks([low, (low + high) / 2, high])
