"""A picture of some prepared images with all their maps, so that a person can judge the data."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mtlbench.datasets import Dataset
from mtlbench.datasets.prepared.domain_sheet import domain_sheet
from mtlbench.maps import Classes
from mtlbench.system.files import atomic_writer
from mtlbench.tasks import Task, make_tasks

_ROWS = 4
_CELL_WIDTH = 300
_GAP, _TITLE, _MARGIN = 8, 22, 12
_INK, _PAPER = (30, 30, 30), (255, 255, 255)


def write_contact_sheet(folder: Path, dataset: Dataset) -> Path:
    """Write ``contact_sheet.png`` into a folder that holds prepared arrays: of maps, or of domains."""
    tasks = make_tasks(dataset.tasks)
    classes = {name: task.maps for name, task in tasks.items() if isinstance(task.maps, Classes)}
    sheet = domain_sheet(folder, classes, dataset.size) if classes else _map_sheet(folder, tasks, dataset.size)
    path = folder / "contact_sheet.png"
    with atomic_writer(path) as file:
        sheet.save(file, format="PNG")
    return path


def _map_sheet(folder: Path, tasks: Mapping[str, Task], size: tuple[int, int]) -> Image.Image:
    """Images with all their maps, the rows spread over each split."""
    height, width = size
    cell = (_CELL_WIDTH, max(1, round(_CELL_WIDTH * height / width)))
    rows = []
    for split in ("train", "test"):
        arrays = {n: np.load(folder / split / f"{n}.npy", mmap_mode="r") for n in ("image", *tasks)}
        count = len(arrays["image"])
        for index in np.unique(np.linspace(0, count - 1, min(_ROWS, count)).round().astype(int)):
            pictures = [np.moveaxis(np.asarray(arrays["image"][index]), 0, -1)]
            pictures += [task.draw(np.asarray(arrays[name][index])) for name, task in tasks.items()]
            rows.append((f"{split} {index}", [_fit(picture, cell) for picture in pictures]))
    return assemble(rows, ["image", *tasks], cell, legend(tasks, width_of(len(rows[0][1]), cell)))


def _fit(picture: np.ndarray, cell: tuple[int, int]) -> Image.Image:
    """Nearest: enlarging must not invent colours between classes."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    smaller = image.width > cell[0]
    return image.resize(cell, Image.Resampling.BOX if smaller else Image.Resampling.NEAREST)


def assemble(
    rows: list[tuple[str, list[Image.Image]]], titles: list[str], cell: tuple[int, int], legend: Image.Image
) -> Image.Image:
    """A sheet of rows (label, pictures of the size ``cell`` (width, height)) with a title over each column."""
    width = 2 * _MARGIN + width_of(len(titles), cell)
    step = cell[1] + _TITLE
    sheet = Image.new("RGB", (width, 2 * _MARGIN + len(rows) * step + legend.height), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for r, (label, pictures) in enumerate(rows):
        for c, (title, picture) in enumerate(zip(titles, pictures, strict=True)):
            x, y = _MARGIN + c * (cell[0] + _GAP), _MARGIN + r * step
            pen.text((x, y + 2), f"{label}: {title}" if c == 0 else title, _INK, font)
            sheet.paste(picture, (x, y + _TITLE - 2))
    sheet.paste(legend, (_MARGIN, _MARGIN + len(rows) * step))
    return sheet


def width_of(columns: int, cell: tuple[int, int]) -> int:
    """The width of the pictures of a row, in pixels."""
    return columns * (cell[0] + _GAP) - _GAP


def legend(tasks: Mapping[str, Task], width: int) -> Image.Image:
    """What the colours mean: one line for each task, drawn by the task itself so that it cannot disagree."""
    font = ImageFont.load_default(14)
    lines = [[(text, list(task.draw(values)[0])) for text, values in task.legend()] for task in tasks.values()]
    image = Image.new("RGB", (width, 2000), _PAPER)
    pen = ImageDraw.Draw(image)
    y = 6
    for name, swatches in zip(tasks, lines, strict=True):
        pen.text((0, y), f"{name}:", _INK, font)
        x = 110
        for text, colours in swatches:
            needed = 18 * len(colours) + 8 + round(pen.textlength(text, font)) + 16
            if x + needed > width:
                x, y = 110, y + 22
            for colour in colours:
                pen.rectangle((x, y + 1, x + 17, y + 15), tuple(int(v) for v in colour), _INK)
                x += 18
            pen.text((x + 6, y), text, _INK, font)
            x += needed - 18 * len(colours)
        y += 26
    return image.crop((0, 0, width, y))
