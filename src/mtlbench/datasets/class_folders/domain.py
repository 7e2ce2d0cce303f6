"""Training and test pictures of one domain: from folders of their own, or from a split that is made here."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mtlbench.datasets.class_folders.listing import Labelled, check_classes, check_filled, class_folders, pictures_of
from mtlbench.system.errors import DataError


@dataclass(frozen=True)
class DomainPictures:
    """Class names in the order of their indices, the pictures of both splits, and what a reader must know."""

    classes: tuple[str, ...]
    train: Labelled
    test: Labelled
    remarks: tuple[str, ...]


def read_domain(root: Path, name: str, classes: int, share: float, seed: int) -> DomainPictures:
    """The domain ``root/name``: ``train`` with ``test`` or ``val`` in it, else class folders that are split here.

    Where both are there, ``test`` is taken if it has class folders. ``share`` of each class, drawn by the names'
    digests with ``seed``, is tested where the split is made here. DataError names what is missing or does not fit.
    """
    folder = root / name
    if not folder.is_dir():
        there = ", ".join(sorted(path.name for path in root.iterdir() if path.is_dir())) if root.is_dir() else ""
        raise DataError(
            f"{folder}: expected the folder of the domain '{name}', found {'only ' + there if there else 'nothing'}; "
            "set the dataset's `source` to the folder that holds the domains"
        )
    found = _given(root, folder, classes) if (folder / "train").is_dir() else _made(root, folder, classes, share, seed)
    others = found.train.others + found.test.others
    plural = f"{others} files that are no pictures by their names were left out"
    told = "1 file that is no picture by its name was left out" if others == 1 else plural
    ignored = (f"{name}: {told}",) if others else ()
    rare = [label for i, label in enumerate(found.classes) if i not in set(found.test.labels)]
    untested = (f"{name}: no test picture of {', '.join(rare)}",) if rare else ()
    return DomainPictures(found.classes, found.train, found.test, (*found.remarks, *untested, *ignored))


def _given(root: Path, folder: Path, classes: int) -> DomainPictures:
    """The split that the folders state."""
    names = tuple(class_folders(folder / "train"))
    check_classes(folder / "train", names, classes)
    labelled = [split for split in ("test", "val") if (folder / split).is_dir() and class_folders(folder / split)]
    if not labelled:
        raise DataError(
            f"{folder}: expected a folder test or val with a folder for each class beside train, found none; without "
            "all three a split is made here"
        )
    train = pictures_of(root, folder / "train", names)
    test = pictures_of(root, folder / labelled[0], names)
    check_filled(folder / "train", train, names)
    if not test.paths:
        raise DataError(f"{folder / labelled[0]}: expected a picture, found none in its class folders")
    left = (f"{folder.name}: measured on {labelled[0]}; {labelled[1]} is not read",) if len(labelled) > 1 else ()
    return DomainPictures(names, train, test, left)


def _made(root: Path, folder: Path, classes: int, share: float, seed: int) -> DomainPictures:
    """A split by class; a class of one picture is only trained on."""
    names = tuple(class_folders(folder))
    check_classes(folder, names, classes)
    everything = pictures_of(root, folder, names)
    check_filled(folder, everything, names)
    tested = _drawn(everything, share, seed)
    if not tested:
        raise DataError(f"{folder}: expected a class of at least two pictures to make a split, found one of each")
    parts = [[i for i in range(len(everything.paths)) if (i in tested) == test] for test in (False, True)]
    train, test = (_part(everything, part) for part in parts)
    told = f"{folder.name}: split here, {share:g} of each class tested, seed {seed}"
    return DomainPictures(names, Labelled(train.paths, train.labels, everything.others), test, (told,))


def _drawn(pictures: Labelled, share: float, seed: int) -> set[int]:
    """Of a class of n >= 2 pictures ``share`` n, but at least one, and one at least is left."""
    order = sorted(range(len(pictures.paths)), key=lambda i: _digest(seed, pictures.paths[i]))
    sizes = Counter(pictures.labels)
    wanted = {label: min(max(1, round(share * n)), n - 1) for label, n in sizes.items()}
    chosen: set[int] = set()
    for i in order:
        if wanted[pictures.labels[i]] > 0:
            wanted[pictures.labels[i]] -= 1
            chosen.add(i)
    return chosen


def _digest(seed: int, path: str) -> str:
    """By digest and not by a generator, whose stream may change; a picture more moves no other one's place in it."""
    return hashlib.sha256(f"{seed}:{path}".encode()).hexdigest()


def _part(pictures: Labelled, indices: Sequence[int]) -> Labelled:
    return Labelled(tuple(pictures.paths[i] for i in indices), tuple(pictures.labels[i] for i in indices))
