"""The annotations of the Visual Decathlon: COCO-like JSON files, one for each domain and split."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mtlbench.system.errors import DamagedError, DataError
from mtlbench.system.files import read_json


@dataclass(frozen=True)
class Official:
    """A domain as the challenge states it; ``number`` is its place in alphabetical order, from 1."""

    folder: str
    number: int
    classes: int
    images: Mapping[str, int]
    #: False where the paper neither crops nor mirrors in training.
    augmented: bool = True

    @property
    def first(self) -> int:
        """What is added to a class's number, from 1, to make its category id."""
        return self.number * 10_000_000


def _official(
    folder: str, number: int, classes: int, train: int, val: int, test: int, augmented: bool = True
) -> Official:
    return Official(folder, number, classes, {"train": train, "val": val, "test": test}, augmented)


#: {task name: the domain}.
DOMAINS = {
    one.folder.replace("-", "_"): one
    for one in (
        _official("aircraft", 1, 100, 3334, 3333, 3333),
        _official("cifar100", 2, 100, 40000, 10000, 10000),
        _official("daimlerpedcls", 3, 2, 23520, 5880, 19600),
        _official("dtd", 4, 47, 1880, 1880, 1880),
        _official("gtsrb", 5, 43, 31367, 7842, 12630, augmented=False),
        _official("imagenet12", 6, 1000, 1232167, 49000, 48238),
        _official("omniglot", 7, 1623, 17853, 6492, 8115, augmented=False),
        _official("svhn", 8, 10, 47217, 26040, 26032, augmented=False),
        _official("ucf101", 9, 101, 7585, 1952, 3783),
        _official("vgg-flowers", 10, 102, 1020, 1020, 6149),
    )
}


@dataclass(frozen=True)
class Annotations:
    """Class names in the order of their category ids; of each image its id, its path below the folder of the domains,
    and its class (-1 in a test split without labels). In the order of the ids, which is that of the names."""

    classes: tuple[str, ...]
    ids: tuple[int, ...]
    paths: tuple[str, ...]
    labels: tuple[int, ...]


def read_annotations(path: Path, official: Official, split: str) -> Annotations:
    """The annotations of a split; DataError unless they are those of this domain and fit together.

    The order of the classes is that of the category ids, so it depends on no folder and on no order of images.
    """
    content = _content(path)
    try:
        classes = _classes(path, content["categories"], official)
        images = sorted(content["images"], key=lambda image: image["id"])
        wanted = {one["image_id"]: one["category_id"] for one in content.get("annotations") or ()}
        ids = tuple(int(image["id"]) for image in images)
        paths = tuple(_below(path, str(image["file_name"]), official, split) for image in images)
        labels = tuple(wanted.get(number, official.first) - official.first - 1 for number in ids)
        doubled = len(content.get("annotations") or ()) - len(wanted)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: expected lists of images, annotations and categories, found one of another form "
            f"({type(error).__name__}: {error}). Get the file again"
        ) from None
    _check(path, official, split, Annotations(classes, ids, paths, labels), set(wanted) - set(ids), doubled)
    return Annotations(classes, ids, paths, labels)


def _content(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(f"{path}: expected the annotations of the Visual Decathlon, found no such file")
    try:
        found = read_json(path)
    except DamagedError:
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected a JSON file with images, annotations and categories. Get the file again")
    return found


def _classes(path: Path, categories: Any, official: Official) -> tuple[str, ...]:
    names = {int(one["id"]): str(one["name"]) for one in categories}
    expected = range(official.first + 1, official.first + official.classes + 1)
    if len(categories) != official.classes or sorted(names) != list(expected):
        raise DataError(
            f"{path}: expected {official.classes} categories with the ids {expected[0]} to {expected[-1]}, found "
            f"{len(categories)} ({min(names, default=0)} to {max(names, default=0)}); is it that of {official.folder}?"
        )
    return tuple(names[number] for number in expected)


def _below(path: Path, name: str, official: Official, split: str) -> str:
    """The path of an image below the folder of the domains; the files say ``data/<domain>/<split>/...``."""
    parts = PurePosixPath(name).parts
    parts = parts[1:] if parts[:1] == ("data",) else parts
    if parts[:2] != (official.folder, split) or ".." in parts:
        raise DataError(f"{path}: expected images in data/{official.folder}/{split}/, found {name!r}")
    return "/".join(parts)


def _check(path: Path, official: Official, split: str, found: Annotations, strangers: set[int], doubled: int) -> None:
    count = len(found.ids)
    if count != official.images[split]:
        raise DataError(f"{path}: expected {official.images[split]} images, found {count}")
    for what, values in (("ids", found.ids), ("file names", found.paths)):
        if len(set(values)) != count:
            raise DataError(f"{path}: expected different {what}, found {count - len(set(values))} repeated ones")
    if strangers or doubled:
        raise DataError(
            f"{path}: expected at most one annotation for each of its images, found {doubled} repeated ones and "
            f"{len(strangers)} of other images"
        )
    labelled = [label for label in found.labels if label != -1]
    if any(not 0 <= label < official.classes for label in labelled):
        raise DataError(f"{path}: expected annotations with its own categories, found others")
    if len(labelled) != count and (split != "test" or labelled):
        raise DataError(f"{path}: expected a category for every image, {count - len(labelled)} have none")
