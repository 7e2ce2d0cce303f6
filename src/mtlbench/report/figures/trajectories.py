"""Task weights and gradients over the epochs, with bands over the seeds."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mtlbench.report.figures.curves import BAND, band, multi_task_rows
from mtlbench.report.figures.style import WIDTH, Picture, keep_first, new_figure, save, styled, tidy
from mtlbench.report.rows.grid import Grid, Row
from mtlbench.system.colours import COLOURS


def recorded(row: Row, prefix: str) -> dict[str, pd.DataFrame]:
    """{rest of the column's name: values by epoch and seed} of the history columns that start with ``prefix``."""
    names = dict.fromkeys(name for cell in row.done for name in cell.history if name.startswith(prefix))
    return {
        name.removeprefix(prefix): pd.DataFrame({c.cell.seed: c.history[name] for c in row.done if name in c.history})
        for name in names
    }


def trajectories(grid: Grid, model: str, folder: Path) -> list[Picture]:
    """Task weights, gradient norms and cosines of one model, a column for each weighting that has them."""
    palette = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(grid.tasks)}
    pairs = [f"{a}_{b}" for i, a in enumerate(grid.tasks) for b in list(grid.tasks)[i + 1 :]]
    titles = {f"{a}_{b}": f"{a} – {b}" for a in grid.tasks for b in grid.tasks} | {name: name for name in grid.tasks}
    kinds = (
        ("weights", "weight_", palette, "weight", "Weights of the task losses over the epochs"),
        ("norms", "grad_norm_", palette, "gradient norm", "Norm of each task's gradient of the shared parameters"),
        ("cosines", "cosine_", dict(zip(pairs, COLOURS[3:] + COLOURS[:3], strict=False)), "cosine",
         "Cosine between the tasks' gradients of the shared parameters; below 0 they conflict"),
    )  # fmt: skip
    pictures = []
    for name, prefix, lines, label, caption in kinds:
        tables = {row.weighting_title: recorded(row, prefix) for row in multi_task_rows(grid, model)}
        tables = {weighting: found for weighting, found in tables.items() if any(_varies(t) for t in found.values())}
        if tables:
            figure = _trajectory_figure(tables, lines, label, titles)
            alt = f"Line plots over the epochs for {', '.join(tables)}"
            pictures.append(save(figure, folder, f"{name}_{model}", f"{grid.titles[model]}: {caption}. {BAND}", alt))
    return pictures


def _varies(table: pd.DataFrame) -> bool:
    values = table.to_numpy(float)
    return bool(np.isfinite(values).any() and np.nanstd(values) > 1e-9)


def _trajectory_figure(
    tables: dict[str, dict[str, pd.DataFrame]], lines: dict[str, str], label: str, titles: dict[str, str]
) -> Any:
    with styled():
        columns = min(4, len(tables))
        rows = -(-len(tables) // columns)
        figure = new_figure(WIDTH if columns > 2 else 2.4 * columns + 4.0, 1.9 * rows + 0.6)
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=label == "cosine")
        for panel, (weighting, found) in zip(axes.flat, tables.items(), strict=False):
            for name, colour in lines.items():
                if name in found:
                    band(panel, found[name], colour)
            if label == "cosine":
                panel.axhline(0, color="#8A9099", linewidth=0.8)
            panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            panel.set_title(weighting)
            tidy(panel)
        keep_first(axes, len(tables))
        for panel in axes[:, 0]:
            panel.set_ylabel(label)
        figure.supxlabel("epoch", fontsize=8.5)
        handles = [Line2D([], [], color=colour, label=titles[name].replace("_", " ")) for name, colour in lines.items()]
        figure.legend(handles=handles, loc="outside upper left", ncols=min(3, len(handles)))
    return figure
