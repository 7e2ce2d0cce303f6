"""Which raw image each prepared one was made from: ``images.csv`` beside the arrays."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from mtlbench.datasets import Split
from mtlbench.system.errors import DataError
from mtlbench.system.files import write_text

IMAGES = "images.csv"
COLUMNS = ("split", "position", "raw", "scene")


def write_images(folder: Path, splits: Mapping[str, Split]) -> None:
    """Write the table with one row per prepared image, in the arrays' order.

    ``split`` and ``position`` (from 0) find it in the arrays, ``raw`` names its raw image (`Split.names`), ``scene`` is
    its number in ``group.npy``; what the dataset does not know is empty. Raises DataError when names and images differ
    in number.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for split, images in splits.items():
        if images.names and len(images.names) != images.count:
            raise DataError(f"{split}: expected a name for each of {images.count} images, found {len(images.names)}")
        for position in range(images.count):
            raw = images.names[position] if images.names else ""
            scene = "" if images.groups is None else int(images.groups[position])
            rows.writerow((split, position, raw, scene))
    write_text(folder / IMAGES, text.getvalue())


def read_images(folder: Path) -> list[dict[str, str]]:
    """The rows of the table as {column: text}; empty for data prepared before there was one."""
    path = Path(folder) / IMAGES
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
