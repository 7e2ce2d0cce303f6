"""CityScapes' public label table and the class sets that are made of it."""

import csv
import functools
from pathlib import Path

import numpy as np


@functools.cache
def label_table() -> list[dict[str, str]]:
    """Label id, name, class19 (-1 = void), category, class7: the public label table."""
    with open(Path(__file__).parent / "tables" / "cityscapes_labels.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def class_names(classes: int) -> list[str]:
    """The names of the classes in the order of their numbers."""
    if classes == 2:
        return ["background", "foreground"]
    column = "name" if classes == 19 else "category"
    numbered = {int(row[f"class{classes}"]): row[column] for row in label_table()}
    return [numbered[number] for number in range(classes)]


@functools.cache
def label_lookup(classes: int) -> np.ndarray:
    """int8 (34,): class index of each label id; -1 = void."""
    lookup = np.full(34, -1, np.int8)
    for row in label_table():
        if int(row["id"]) < 0:  # license plates are not drawn into the label pictures
            continue
        number = int(row["class19" if classes == 19 else "class7"])
        if classes == 2 and number >= 0:
            number = int(row["category"] in ("sky", "human", "vehicle"))
        lookup[int(row["id"])] = number
    return lookup
