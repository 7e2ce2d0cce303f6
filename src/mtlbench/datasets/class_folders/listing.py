"""The classes and pictures of a folder with one folder for each class."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mtlbench.datasets.raw.photos import SUFFIXES
from mtlbench.system.errors import DataError


@dataclass(frozen=True)
class Labelled:
    """Pictures (paths from the folder of all domains, in the order of their names) and the class of each."""

    paths: tuple[str, ...]
    labels: tuple[int, ...]
    #: Files beside the pictures that are no pictures by their suffix.
    others: int = 0


def class_folders(folder: Path) -> dict[str, Path]:
    """{class name: its folder} in the order of the names' code points, composed (NFC); hidden folders are left out.

    DataError when two names look the same: they differ in capitals or in how an accent is written.
    """
    found: dict[str, Path] = {}
    alike: dict[str, Path] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        name = unicodedata.normalize("NFC", path.name)
        other = alike.setdefault(name.casefold(), path)
        if other != path:
            raise DataError(
                f"{folder}: expected classes of different names, found {other.name!r} and {path.name!r}, which differ "
                "only in capitals or accents; rename or join them"
            )
        found[name] = path
    return dict(sorted(found.items()))


def pictures_of(root: Path, folder: Path, classes: Sequence[str]) -> Labelled:
    """The pictures of a folder by class; ``classes`` are the names in the order of their indices.

    DataError for a class that is not among them. A class without a folder or a picture here has no pictures.
    """
    paths: list[str] = []
    labels: list[int] = []
    others = 0
    for name, place in class_folders(folder).items():
        if name not in classes:
            raise DataError(
                f"{place}: expected one of the classes to train on, found a new one; put training pictures of it "
                "beside the others, or take it out"
            )
        inside = sorted(path for path in place.iterdir() if path.is_file() and not path.name.startswith("."))
        own = [path for path in inside if path.suffix.lower() in SUFFIXES]
        paths += [path.relative_to(root).as_posix() for path in own]
        labels += [list(classes).index(name)] * len(own)
        others += len(inside) - len(own)
    return Labelled(tuple(paths), tuple(labels), others)


def check_classes(folder: Path, found: Sequence[str], count: int) -> None:
    """Raise DataError unless the folder has as many classes as are stated."""
    if len(found) != count:
        shown = f" ({', '.join(found[:8])}{' ...' if len(found) > 8 else ''})" if found else ""
        raise DataError(
            f"{folder}: expected {count} folders, one for each class, found {len(found)}{shown}. State their number "
            "under `classes`, or put the missing ones there"
        )


def check_filled(folder: Path, pictures: Labelled, classes: Sequence[str]) -> None:
    """Raise DataError unless every class has a picture."""
    empty = [name for index, name in enumerate(classes) if index not in set(pictures.labels)]
    if empty:
        raise DataError(
            f"{folder}: expected a picture ({', '.join(SUFFIXES)}) of every class, found none of {', '.join(empty)}; "
            "put pictures there or take the folder out"
        )
