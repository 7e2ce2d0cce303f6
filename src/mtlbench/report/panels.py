"""Pictures of predictions: the same test images for all models, with ground truth, error maps and overlays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps

from mtlbench.report.analysis import Analysis
from mtlbench.report.grid import SINGLE, Grid, Row
from mtlbench.report.style import WIDTH, Picture, chunks, new_figure, save, styled
from mtlbench.report.text import task_title
from mtlbench.tasks._base import Task
from mtlbench.tasks._distance import DistanceTask
from mtlbench.tasks._draw import INVALID, class_colours
from mtlbench.tasks.segmentation import Segmentation

#: Test images in a model's panel, and in the comparison of models.
PANEL_IMAGES = 3
COMPARED_IMAGES = 4
#: Models side by side in one comparison.
MOST_MODELS = 6
ERROR_COLOURS = "inferno"
#: How much of the label's colour covers the photograph.
_OVERLAY = 0.5
_WRONG = np.array([214, 39, 40], np.float32)

Samples = dict[str, np.ndarray]


def row_samples(row: Row) -> Samples:
    """Arrays of samples.npz of the row's first complete seed, joined over its cells; {} when any is missing."""
    if not row.seeds:
        return {}
    joined: Samples = {}
    for task in dict.fromkeys(task for cell in row.cells for task in cell.cell.tasks):
        cell = row.cell(task, row.seeds[0])
        found = cell.samples() if cell is not None else {}
        if not {"image", f"target_{task}", f"prediction_{task}"} <= set(found):
            return {}
        joined.update({name: values for name, values in found.items() if name == "image" or _about(name, task)})
        joined.setdefault("indices", found.get("indices", np.arange(len(found["image"]))))
    return joined


def _about(name: str, task: str) -> bool:
    return name in (f"target_{task}", f"prediction_{task}") or name.startswith(f"attention_{task}/")


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


def model_panel(grid: Grid, row: Row, folder: Path) -> Picture | None:
    """Input, overlays, and for every task ground truth, prediction and error, for a few test images."""
    samples = row_samples(row)
    if not samples:
        return None
    lines, names = [], []
    for i in range(min(PANEL_IMAGES, len(samples["image"]))):
        lines += [_panel_line(grid, samples, i, line) for line in range(3)]
        wrong = "wrong in red" if "segmentation" in grid.tasks else ""
        names += [f"image {samples['indices'][i]} |\nground truth", "overlay |\nprediction", f"{wrong} |\nerror"]
    figure = mosaic(lines, ["Input", *(task_title(name) for name in grid.tasks)], names)
    caption = f"{row.label}, seed {row.seeds[0]}: predictions of the final network on fixed test images."
    return save(figure, folder, f"panel_{row.slug}", caption, vector=False)


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
        figure = new_figure(WIDTH, (WIDTH - 1.1) * canvas.shape[0] / canvas.shape[1] + 0.4)
        axes = figure.subplots()
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


def _panel_line(grid: Grid, samples: Samples, i: int, line: int) -> list[np.ndarray | None]:
    """The pictures of one line: ground truth (0), prediction (1) or error (2) of every task, after the photograph."""
    photograph = np.moveaxis(samples["image"][i], 0, -1)
    pictures = []
    for name, task in grid.tasks.items():
        target, prediction = samples[f"target_{name}"][i], samples[f"prediction_{name}"][i]
        if line == 2:
            pictures.append(error_picture(task, prediction, target))
        else:
            pictures.append(task.draw(prediction if line else target))
    first: np.ndarray | None = photograph
    if line == 1:
        first = overlay(photograph, pictures[0])
    elif line == 2:
        name = "segmentation"
        known = name in grid.tasks
        arrays = [samples[f"{kind}_{name}"][i] for kind in ("prediction", "target")] if known else []
        first = wrong_over(photograph, grid.tasks[name].error(*arrays)) if known else None
    return [first, *pictures]


def compared_models(analysis: Analysis, folder: Path) -> list[Picture]:
    """For every task the same test images for all models (best row of each): prediction above, error below."""
    known = [(row, samples) for row in analysis.leaders if (samples := row_samples(row))]
    known = [(row, samples) for row, samples in known if np.array_equal(samples["indices"], known[0][1]["indices"])]
    if len(known) < 2:
        return []
    pictures = []
    groups = chunks(known, MOST_MODELS)
    for name, task in analysis.grid.tasks.items():
        for part, group in enumerate(groups):
            suffix = f"_{part + 1}" if len(groups) > 1 else ""
            figure = _comparison(name, task, group)
            caption = (
                f"{task_title(name)}: the same test images for all models (best weighting of each), prediction above "
                f"and error below; {_range_text(task)}."
            )
            pictures.append(save(figure, folder, f"compare_{name}{suffix}", caption, vector=False))
    return pictures


def _comparison(name: str, task: Task, group: Sequence[tuple[Row, Samples]]) -> Any:
    samples = group[0][1]
    lines: list[list[np.ndarray | None]] = []
    for i in range(min(COMPARED_IMAGES, len(samples["image"]))):
        pairs = [(found[f"prediction_{name}"][i], found[f"target_{name}"][i]) for _, found in group]
        lines.append([np.moveaxis(samples["image"][i], 0, -1), *(task.draw(prediction) for prediction, _ in pairs)])
        lines.append([task.draw(pairs[0][1]), *(error_picture(task, *pair) for pair in pairs)])
    names = ["input |\nprediction", "ground truth |\nerror"] * (len(lines) // 2)
    return mosaic(lines, ["", *(f"{row.model}\n{row.weighting or SINGLE}" for row, _ in group)], names)


def _range_text(task: Task) -> str:
    low, high, unit = task.error_range
    return f"error from {low:g} (black) to {high:g} {unit} (bright); grey: no ground truth".replace(" °", "°")


def attention(row: Row, grid: Grid, folder: Path) -> Picture | None:
    """Attention masks of the first test image, levels down and tasks across, when the cell kept them."""
    samples = row_samples(row)
    levels = list(dict.fromkeys(name.split("/", 1)[1] for name in samples if name.startswith("attention_")))
    if not levels:
        return None
    lines: list[list[np.ndarray | None]] = []
    for line, level in enumerate(levels):
        masks = [samples.get(f"attention_{name}/{level}") for name in grid.tasks]
        first = np.moveaxis(samples["image"][0], 0, -1) if line == 0 else None
        lines.append([first, *(None if m is None else _mask(m[0], samples["image"].shape[-2:]) for m in masks)])
    titles = ["Input", *(task_title(name) for name in grid.tasks)]
    figure = mosaic(lines, titles, [level.replace("_", " ") for level in levels])
    caption = (
        f"{row.label}: attention masks on test image {samples['indices'][0]}, mean over the channels of a level, "
        "from 0 (dark blue) to 1 (yellow)."
    )
    return save(figure, folder, f"attention_{row.slug}", caption, vector=False)


def _mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask (h, w) with values in [0, 1] as a picture (*size, 3), nearest neighbour."""
    rows, columns = (np.arange(wanted) * have // wanted for wanted, have in zip(size, mask.shape, strict=True))
    colours = colormaps["cividis"](np.clip(mask, 0, 1))[..., :3]
    return (colours[rows[:, None], columns] * 255).round().astype(np.uint8)


def legend(grid: Grid, folder: Path) -> Picture:
    """What the colours of all pictures mean: classes, scales, error scales, missing ground truth."""
    from matplotlib.patches import Patch

    with styled():
        bars = [(name, task) for name, task in grid.tasks.items() if isinstance(task, DistanceTask)]
        classes = next((task.class_names for task in grid.tasks.values() if isinstance(task, Segmentation)), ())
        figure = new_figure(WIDTH, 0.75 + 0.24 * -(-(len(classes) + 2) // 7))
        axes = figure.subplots(1, len(bars) + len(grid.tasks), squeeze=False)[0]
        for panel, (name, task) in zip(axes, bars, strict=False):
            low, high = task.display_range
            _bar(panel, task.colours, low, high, f"{task_title(name)} [{task.metrics[0].unit or 'ratio'}]")
        for panel, (name, task) in zip(axes[len(bars) :], grid.tasks.items(), strict=True):
            low, high, unit = task.error_range
            _bar(panel, ERROR_COLOURS, low, high, f"error: {task_title(name).lower()} [{unit or 'ratio'}]")
        patches = [
            Patch(color=tuple(colour / 255), label=text)
            for colour, text in zip(class_colours(len(classes)), classes, strict=True)
        ]
        patches.append(Patch(color=tuple(np.array(INVALID) / 255), label="no ground truth"))
        if "normals" in grid.tasks:
            patches.append(Patch(facecolor="#8080FF", label="normals: red right, green up, blue to the camera"))
        figure.legend(handles=patches, loc="outside lower left", ncols=7, columnspacing=1.2, handlelength=1.2)
        return save(figure, folder, "legend", "What the colours mean.")


def _bar(axes: Any, name: str, low: float, high: float, title: str) -> None:
    axes.imshow(np.linspace(0, 1, 256)[None], aspect="auto", cmap=name, extent=(low, high, 0, 1))
    axes.set_yticks([])
    axes.set_box_aspect(0.07)
    axes.set_title(title, fontsize=8, fontweight="normal")
    axes.set_xticks([low, (low + high) / 2, high])
