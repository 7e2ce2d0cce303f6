"""Pictures of predictions: the same test images for all models, with ground truth, error maps and overlays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps

from mtlbench.report.analysis import Analysis
from mtlbench.report.grid import Grid, Row
from mtlbench.report.style import WIDTH, Picture, chunks, new_figure, save, styled
from mtlbench.report.text import task_title
from mtlbench.tasks._base import Task
from mtlbench.tasks._draw import INVALID

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
    count = min(PANEL_IMAGES, len(samples["image"]))
    height, width = samples["image"].shape[-2:]
    with styled():
        columns = 1 + len(grid.tasks)
        side = (WIDTH - 0.45) / columns
        figure = new_figure(WIDTH, (side * height / width + 0.03) * 3 * count + 0.3)
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.005, hspace=0.005)
        axes = figure.subplots(3 * count, columns, squeeze=False)
        for i in range(count):
            for line in range(3):
                for column, picture in enumerate(_panel_line(grid, samples, i, line)):
                    _show(axes[3 * i + line, column], picture)
            for line, name in enumerate(("ground truth", "prediction", "error")):
                axes[3 * i + line, 1].set_ylabel(name)
            axes[3 * i, 0].set_ylabel(f"test image {samples['indices'][i]}")
            axes[3 * i + 1, 0].set_ylabel("overlay")
            axes[3 * i + 2, 0].set_ylabel("wrong in red" if "segmentation" in grid.tasks else "")
        for column, title in enumerate(("Input", *(task_title(name) for name in grid.tasks))):
            axes[0, column].set_title(title)
        caption = f"{row.label}, seed {row.seeds[0]}: predictions of the final network on fixed test images."
        return save(figure, folder, f"panel_{row.slug}", caption, vector=False)


def _panel_line(grid: Grid, samples: Samples, i: int, line: int) -> list[np.ndarray | None]:
    """The pictures of one line: ground truth (0), prediction (1) or error (2) of every task, after the photograph."""
    photograph = np.moveaxis(samples["image"][i], 0, -1)
    pictures: list[np.ndarray | None] = []
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


def _show(axes: Any, picture: np.ndarray | None) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if picture is not None:
        axes.imshow(picture)


def compared_models(analysis: Analysis, folder: Path) -> list[Picture]:
    """For every task the same test images for all models (best row of each): prediction above, error below."""
    known = [(row, samples) for row in analysis.leaders if (samples := row_samples(row))]
    reference = known[0][1]["indices"] if known else None
    known = [(row, samples) for row, samples in known if np.array_equal(samples["indices"], reference)]
    if len(known) < 2:
        return []
    pictures = []
    groups = chunks(known, MOST_MODELS)
    for name, task in analysis.grid.tasks.items():
        for part, group in enumerate(groups):
            suffix = f"_{part + 1}" if len(groups) > 1 else ""
            figure = _comparison(name, task, group)
            caption = (
                f"{task_title(name)}: the same test images for all models (best weighting of each), prediction above and "
                f"error below; {_range_text(task)}."
            )
            pictures.append(save(figure, folder, f"compare_{name}{suffix}", caption, vector=False))
    return pictures


def _comparison(name: str, task: Task, group: Sequence[tuple[Row, Samples]]) -> Any:
    samples = group[0][1]
    count = min(COMPARED_IMAGES, len(samples["image"]))
    height, width = samples["image"].shape[-2:]
    with styled():
        columns = 1 + len(group)
        figure = new_figure(WIDTH, ((WIDTH - 0.25) / columns * height / width + 0.03) * 2 * count + 0.45)
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.005, hspace=0.005)
        axes = figure.subplots(2 * count, columns, squeeze=False)
        for i in range(count):
            _show(axes[2 * i, 0], np.moveaxis(samples["image"][i], 0, -1))
            _show(axes[2 * i + 1, 0], task.draw(samples[f"target_{name}"][i]))
            axes[2 * i, 0].set_ylabel("input")
            axes[2 * i + 1, 0].set_ylabel("ground truth")
            for column, (row, found) in enumerate(group, start=1):
                prediction, target = found[f"prediction_{name}"][i], found[f"target_{name}"][i]
                _show(axes[2 * i, column], task.draw(prediction))
                _show(axes[2 * i + 1, column], error_picture(task, prediction, target))
                if i == 0:
                    axes[0, column].set_title(f"{row.model}\n{row.weighting or 'single-task'}", fontsize=8)
    return figure


def _range_text(task: Task) -> str:
    low, high, unit = task.error_range
    return f"error from {low:g} (black) to {high:g} {unit} (bright); grey: no ground truth".replace(" °", "°")


def attention(row: Row, grid: Grid, folder: Path) -> Picture | None:
    """Attention masks of the first test image, levels down and tasks across, when the cell kept them."""
    samples = row_samples(row)
    levels = list(dict.fromkeys(name.split("/", 1)[1] for name in samples if name.startswith("attention_")))
    if not levels:
        return None
    height, width = samples["image"].shape[-2:]
    with styled():
        columns = 1 + len(grid.tasks)
        figure = new_figure(WIDTH, (WIDTH / columns * height / width + 0.06) * len(levels) + 0.7)
        axes = figure.subplots(len(levels), columns, squeeze=False)
        shown = None
        for line, level in enumerate(levels):
            _show(axes[line, 0], np.moveaxis(samples["image"][0], 0, -1) if line == 0 else None)
            axes[line, 0].set_ylabel(level.replace("_", " "))
            for column, name in enumerate(grid.tasks, start=1):
                mask = samples.get(f"attention_{name}/{level}")
                _show(axes[line, column], None)
                if mask is not None:
                    shown = axes[line, column].imshow(mask[0], cmap="cividis", vmin=0, vmax=1)
                axes[0, column].set_title(task_title(name))
        figure.colorbar(shown, ax=axes, location="bottom", shrink=0.3, aspect=40, label="mean attention over channels")
        caption = (
            f"{row.label}: attention masks on test image {samples['indices'][0]}, from the first level to the last."
        )
        return save(figure, folder, f"attention_{row.slug}", caption, vector=False)


def legend(grid: Grid, folder: Path) -> Picture:
    """What the colours of all pictures mean: classes, scales, error scales, missing ground truth."""
    from matplotlib.patches import Patch

    from mtlbench.tasks._draw import class_colours

    with styled():
        bars = [(name, task) for name, task in grid.tasks.items() if hasattr(task, "display_range")]
        classes = getattr(grid.tasks.get("segmentation"), "class_names", ())
        figure = new_figure(WIDTH, 0.75 + 0.24 * -(-(len(classes) + 2) // 7))
        axes = figure.subplots(1, len(bars) + len(grid.tasks), squeeze=False)[0]
        for panel, (name, task) in zip(axes, bars, strict=False):
            _bar(panel, task.colours, *task.display_range, f"{task_title(name)} [{task.metrics[0].unit or 'ratio'}]")
        for panel, (name, task) in zip(axes[len(bars) :], grid.tasks.items(), strict=True):
            low, high, unit = task.error_range
            _bar(panel, ERROR_COLOURS, low, high, f"error: {task_title(name).lower()} [{unit or 'ratio'}]")
        patches = [
            Patch(color=colour / 255, label=text)
            for colour, text in zip(class_colours(len(classes)), classes, strict=True)
        ]
        patches.append(Patch(color=np.array(INVALID) / 255, label="no ground truth"))
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
