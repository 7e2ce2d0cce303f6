"""What `mtlbench predict` leaves of each picture: maps as arrays, in colours, over the picture; one sheet of all."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from mtlbench.datasets.prepared.contact_sheet import assemble, legend, width_of
from mtlbench.inference.network import Network, Prediction
from mtlbench.system.files import atomic_writer, write_text
from mtlbench.tasks import Task

#: Pictures on the contact sheet, the first ones; width and height of one.
SHEET, CELL = 24, (300, 225)
_PAPER = (255, 255, 255)


class Results:
    """The files of predictions in ``folder``; :meth:`close` writes what is about all of them.

    For a picture ``a`` and a task of maps: ``a_<task>.npy`` (the map, as prepared data holds it), ``a_<task>.png`` (in
    the task's colours) and ``a_<task>_overlay.png`` (half over the picture), all of the picture's size. Then
    ``predictions.csv`` (a row for each picture, with the classes of a classifier), ``contact_sheet.png``,
    ``legend.png`` (what colours mean) and ``network.json`` (what the network is; names of classes).
    """

    def __init__(self, folder: Path, network: Network) -> None:
        self.folder = Path(folder)
        self.network = network
        self.maps = {name: task for name, task in network.tasks.items() if task.predicts == "maps"}
        self.classes = {name: task for name, task in network.tasks.items() if task.predicts != "maps"}
        self.table: list[dict[str, str]] = []
        self.rows: list[tuple[str, list[Image.Image]]] = []

    def add(self, name: str, path: Path, picture: np.ndarray, prediction: Prediction) -> None:
        """Write the files of one picture (H, W, 3) and remember it for the tables."""
        shown = [picture]
        for task, made in self.maps.items():
            drawn = made.draw(prediction[task])
            shown.append(drawn)
            with atomic_writer(self.folder / f"{name}_{task}.npy") as file:
                np.save(file, prediction[task])
            self._save(f"{name}_{task}.png", drawn)
            self._save(f"{name}_{task}_overlay.png", ((picture.astype(np.uint16) + drawn) // 2).astype(np.uint8))
        height, width = picture.shape[:2]
        row = {"name": name, "picture": str(path), "height": str(height), "width": str(width)}
        self.table.append(row | _classes(self.classes, prediction))
        if len(self.rows) < SHEET:
            self.rows.append((name[:24], [_small(one) for one in shown]))

    def close(self) -> None:
        """Write table, sheet, legend and description."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.table)
        write_text(self.folder / "predictions.csv", text.getvalue())
        write_text(self.folder / "network.json", self.network.description.model_dump_json(indent=2) + "\n")
        if self.maps:
            colours = legend(self.maps, max(600, width_of(1 + len(self.maps), CELL)))
            self._save("legend.png", colours)
            self._save("contact_sheet.png", assemble(self.rows, ["image", *self.maps], CELL, colours))

    def _save(self, name: str, picture: np.ndarray | Image.Image) -> None:
        image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
        with atomic_writer(self.folder / name) as file:
            image.save(file, format="PNG")


def _classes(tasks: Mapping[str, Task], prediction: Prediction) -> dict[str, str]:
    """{task: the name of the class}."""
    return {name: task.maps.names[int(prediction[name])] for name, task in tasks.items()}  # type: ignore[attr-defined]


def _small(picture: np.ndarray) -> Image.Image:
    """The picture inside a cell of the sheet, its shape kept."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    scale = min(CELL[0] / image.width, CELL[1] / image.height)
    filter_ = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    cell = Image.new("RGB", CELL, _PAPER)
    cell.paste(image.resize(size, filter_), ((CELL[0] - size[0]) // 2, (CELL[1] - size[1]) // 2))
    return cell
