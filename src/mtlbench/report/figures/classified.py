"""Pictures for classification: test images with their true and predicted classes, and who is taken for whom."""

from pathlib import Path

import numpy as np
import seaborn as sns

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.figures.style import WIDTH, Picture, new_figure, save, styled
from mtlbench.report.rows.grid import Grid, Row
from mtlbench.report.rows.text import task_title
from mtlbench.tasks import Classes

#: Test images of each domain in a panel.
_IMAGES = 6
_RIGHT, _WRONG = "#1B7F4B", "#C0392B"


def class_tasks(grid: Grid) -> dict[str, tuple[str, ...]]:
    """{task: its class names} of the tasks that give an image a class; empty for dense prediction."""
    return {name: task.maps.names for name, task in grid.tasks.items() if isinstance(task.maps, Classes)}


def class_panel(grid: Grid, row: Row, folder: Path) -> Picture | None:
    """A line of test images for each domain; below each the prediction, its probability, and the truth if another."""
    tasks = class_tasks(grid)
    lines = {name: shown for name in tasks if (shown := _samples(row, name))}
    if not lines:
        return None
    with styled():
        figure = new_figure(WIDTH, 1.5 * len(lines))
        axes = figure.subplots(len(lines), _IMAGES, squeeze=False)
        for line, (name, shown) in zip(axes, lines.items(), strict=True):
            for one in line:
                one.set_axis_off()
            line[0].set_title(task_title(name), loc="left", fontsize=9)
            for one, (image, true, guess, probability) in zip(line, shown, strict=False):
                one.imshow(np.moveaxis(image, 0, -1), interpolation="nearest")
                text = f"{tasks[name][guess]} {100 * probability:.0f} %"
                text += "" if guess == true else f"\nis {tasks[name][true]}"
                one.text(0.5, -0.04, text, transform=one.transAxes, ha="center", va="top", fontsize=7,
                         color=_RIGHT if guess == true else _WRONG)  # fmt: skip
        caption = (
            f"{row.label}, seed {row.seeds[0]}: predictions of the final network on fixed test images with their "
            "probabilities; wrong ones in red with the true class."
        )
        return save(figure, folder, f"panel_{row.slug}", caption, f"Test images of {len(lines)} domains", vector=False)


def _samples(row: Row, task: str) -> list[tuple[np.ndarray, int, int, float]]:
    """(image, true class, predicted class, probability) of the test images of a task that the first seed kept."""
    cell = row.cell(task, row.seeds[0]) if row.seeds else None
    found = cell.samples() if cell is not None else {}
    names = ("image", f"target_{task}", f"prediction_{task}", f"probability_{task}")
    if not set(names) <= set(found):
        return []
    arrays = [found[name] for name in names]
    own = [i for i in range(len(arrays[0])) if arrays[1][i] >= 0][:_IMAGES]
    return [(arrays[0][i], int(arrays[1][i]), int(arrays[2][i]), float(arrays[3][i])) for i in own]


def class_confusions(analysis: Analysis, folder: Path) -> Picture | None:
    """For each domain, how the best row of several tasks takes its classes for one another."""
    best = next((row for row in analysis.ranking if not row.single_task), None)
    evidence = analysis.evidence.get(best.slug) if best is not None else None
    if best is None or evidence is None:
        return None
    known = {
        name: evidence.totals[name]["confusion"]
        for name in class_tasks(analysis.grid)
        if "confusion" in evidence.totals.get(name, {})
    }
    if not known:
        return None
    with styled():
        lines = -(-len(known) // 2)
        figure = new_figure(WIDTH, 3.6 * lines)
        places = figure.subplots(lines, 2, squeeze=False).ravel()
        for axes in places[len(known) :]:
            axes.set_axis_off()
        for axes, (name, counts) in zip(places, known.items(), strict=False):
            names = class_tasks(analysis.grid)[name]
            shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
            sns.heatmap(shares, ax=axes, cmap="Blues", vmin=0, vmax=100, square=True, linewidths=0.3,
                        linecolor="#F2F3F5", xticklabels=names, yticklabels=names, cbar=False)  # fmt: skip
            axes.set_title(task_title(name))
            axes.set_xlabel("predicted")
            axes.set_ylabel("true")
            axes.tick_params(length=0, labelsize=7 if len(names) <= 12 else 5)
        caption = (
            f"{best.label}: confusion matrices of the final networks, all seeds together; every line adds up to 100 % "
            "(white 0 %, dark blue 100 %)."
        )
        return save(figure, folder, "confusion_domains", caption, f"Confusion matrices of {len(known)} domains")
