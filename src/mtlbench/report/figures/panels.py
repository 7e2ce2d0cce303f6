"""Pictures of predictions: the same test images for all models, with ground truth, error maps and overlays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.figures.mosaic import error_picture, mosaic, overlay, wrong_over
from mtlbench.report.figures.style import Picture, chunks, save
from mtlbench.report.rows.grid import Grid, Row
from mtlbench.report.rows.text import task_title
from mtlbench.tasks import Task

#: Test images in a model's panel, and in the comparison of models.
PANEL_IMAGES = 3
COMPARED_IMAGES = 4
#: Models side by side in one comparison.
MOST_MODELS = 6

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


def model_panel(grid: Grid, row: Row, folder: Path) -> Picture | None:
    """Input, overlays, and for every task ground truth, prediction and error, for a few test images."""
    samples = row_samples(row)
    if not samples:
        return None
    lines, names = [], []
    for i in range(min(PANEL_IMAGES, len(samples["image"]))):
        lines += [_panel_line(grid, samples, i, line) for line in range(3)]
        wrong = "wrong in red" if grid.labelled else ""
        names += [f"image {samples['indices'][i]} |\nground truth", "overlay |\nprediction", f"{wrong} |\nerror"]
    figure = mosaic(lines, ["Input", *(task_title(name) for name in grid.tasks)], names)
    caption = f"{row.label}, seed {row.seeds[0]}: predictions of the final network on fixed test images."
    return save(figure, folder, f"panel_{row.slug}", caption, f"{len(lines)} lines of pictures", vector=False)


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
        name = grid.labelled
        arrays = [samples[f"{kind}_{name}"][i] for kind in ("prediction", "target")] if name else []
        first = wrong_over(photograph, grid.tasks[name].error(*arrays)) if name else None
    return [first, *pictures]


def compared_models(analysis: Analysis, folder: Path) -> list[Picture]:
    """For every task the same test images for all models (best row of each): prediction above, error below."""
    if not all(task.maps.per_pixel for task in analysis.grid.tasks.values()):
        return []
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
            alt = f"Pictures of test images, a column for each of: {', '.join(row.model_title for row, _ in group)}"
            pictures.append(save(figure, folder, f"compare_{name}{suffix}", caption, alt, vector=False))
    return pictures


def _comparison(name: str, task: Task, group: Sequence[tuple[Row, Samples]]) -> Any:
    samples = group[0][1]
    lines: list[list[np.ndarray | None]] = []
    for i in range(min(COMPARED_IMAGES, len(samples["image"]))):
        pairs = [(found[f"prediction_{name}"][i], found[f"target_{name}"][i]) for _, found in group]
        lines.append([np.moveaxis(samples["image"][i], 0, -1), *(task.draw(prediction) for prediction, _ in pairs)])
        lines.append([task.draw(pairs[0][1]), *(error_picture(task, *pair) for pair in pairs)])
    names = ["input |\nprediction", "ground truth |\nerror"] * (len(lines) // 2)
    return mosaic(lines, ["", *(f"{row.model_title}\n{row.weighting_title}" for row, _ in group)], names)


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
    names = []
    for line, level in enumerate(levels):
        masks = [samples.get(f"attention_{name}/{level}") for name in grid.tasks]
        known = np.concatenate([mask[0].ravel() for mask in masks if mask is not None]).astype(np.float32)
        low, high = float(known.min()), float(known.max())
        first = np.moveaxis(samples["image"][0], 0, -1) if line == 0 else None
        size = samples["image"].shape[-2:]
        lines.append([first, *(None if mask is None else _mask(mask[0], size, low, high) for mask in masks)])
        names.append(f"{level.replace('_', ' ')}\n{low:.2f} to {high:.2f}")
    figure = mosaic(lines, ["Input", *(task_title(name) for name in grid.tasks)], names)
    caption = (
        f"{row.label}: attention masks on image {samples['indices'][0]}, mean over the channels of a level; the "
        "colours of a line run from its lowest (dark blue) to its highest value (yellow)."
    )
    return save(figure, folder, f"attention_{row.slug}", caption, f"{len(levels)} lines of masks", vector=False)


def _mask(mask: np.ndarray, size: tuple[int, ...], low: float, high: float) -> np.ndarray:
    """A mask (h, w) as a picture (*size, 3), colours from ``low`` to ``high``, nearest neighbour."""
    rows, columns = (np.arange(wanted) * have // wanted for wanted, have in zip(size, mask.shape, strict=True))
    shown = np.clip((mask.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1)
    colours = colormaps["cividis"](shown)[..., :3]
    return (colours[rows[:, None], columns] * 255).round().astype(np.uint8)
