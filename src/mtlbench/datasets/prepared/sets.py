"""What is wrong with a set as a whole although each image is right: nothing to learn, or test images trained on."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtlbench.datasets import Split
from mtlbench.datasets.prepared.rows import read_rows
from mtlbench.system.errors import DataError

#: {text: {"images": number, "pixels": number}}, as a manifest holds them.
Remarks = dict[str, dict[str, int]]


def check_sets(
    name: str, beside: Path, splits: Mapping[str, Split], statistics: Mapping[str, Mapping[str, Any]]
) -> Remarks:
    """What a reader must know about the splits whose arrays lie in ``beside``.

    Raises DataError when a split has no valid pixel of a task, and when a test picture is among the training pictures:
    then its numbers would say nothing. Pictures that are repeated within a split, and what the dataset itself finds
    remarkable, are remarks. Pictures of one colour may be alike.
    """
    empty = [
        f"{array} of the {split} split"
        for split, arrays in statistics.items()
        for array, values in arrays.items()
        if values["invalid_share"] == 1
    ]
    if empty:
        raise DataError(
            f"{name}: expected at least one valid pixel, found none in {', '.join(empty)}; check the raw files' values"
        )
    digests = {split: _digests(beside / split / "image.npy") for split in splits}
    _check_apart(name, digests["train"], digests["test"])
    remarks: Remarks = {}
    for split, found in digests.items():
        repeated = sum(times - 1 for times in Counter(filter(None, found)).values())
        if repeated:
            remarks[f"{split} pictures that are copies of another one"] = {"images": repeated, "pixels": 0}
        for text in splits[split].remarks:
            remarks[text] = {"images": splits[split].count, "pixels": 0}
    return remarks


def remark_line(text: str, found: Mapping[str, int]) -> str:
    """A remark as people read it."""
    pixels = f", {found['pixels']} pixels" if found["pixels"] else ""
    return f"remark: {text} ({found['images']} images{pixels})"


def _digests(path: Path) -> list[str]:
    """A digest of each picture, "" for those of one colour."""
    pictures = (one for rows in read_rows(path, 1) for one in rows)
    return ["" if (one == one[:, :1, :1]).all() else hashlib.sha256(one.tobytes()).hexdigest() for one in pictures]


def _check_apart(name: str, train: list[str], test: list[str]) -> None:
    place = {digest: number for number, digest in enumerate(train) if digest}
    both = [(number, place[digest]) for number, digest in enumerate(test) if digest in place]
    if both:
        raise DataError(
            f"{name}: expected test pictures that are not among the training pictures, found {len(both)} of "
            f"{len(test)} that are (first: test image {both[0][0]} is train image {both[0][1]}); check the raw files"
        )
