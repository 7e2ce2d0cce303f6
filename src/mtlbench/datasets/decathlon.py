"""The Visual Decathlon: ten domains of images whose shorter side has 72 pixels."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from mtlbench.datasets import Dataset, Split
from mtlbench.datasets._decathlon import read_statistics
from mtlbench.datasets._decathlon_annotations import DOMAINS, Annotations, read_annotations
from mtlbench.datasets._domains import labels_of, standardised, tasks_of
from mtlbench.datasets.class_folders.picture import read_fitted
from mtlbench.datasets.raw.files import RawFile, digest_of, digest_of_folder
from mtlbench.system.errors import DataError

_STATISTICS = "decathlon_mean_std.pickle"


class Decathlon(Dataset):
    """The Visual Decathlon (Rebuffi et al., NeurIPS 2017): any of its ten domains, trained on ``train``.

    Classes and their order come from the annotations' categories. Results are measured on ``val``, whose classes are
    public; the challenge keeps those of ``test`` (see :meth:`unlabelled`).
    """

    version: ClassVar[int] = 1
    domains = True

    def __init__(
        self,
        *,
        domains: Annotated[
            list[
                Literal[
                    "aircraft",
                    "cifar100",
                    "daimlerpedcls",
                    "dtd",
                    "gtsrb",
                    "imagenet12",
                    "omniglot",
                    "svhn",
                    "ucf101",
                    "vgg_flowers",
                ]
            ]
            | None,
            Field(min_length=1, description="the domains; null: all ten"),
        ] = None,
        height: Annotated[int, Field(ge=8, le=72, description="image height in pixels; the files have 72")] = 72,
        width: Annotated[int, Field(ge=8, le=72, description="image width in pixels")] = 72,
        standardise: Annotated[
            bool, Field(description="colours minus the domain's mean, divided by its deviation, as in the paper")
        ] = True,
        tested: Annotated[
            Literal["val", "test"], Field(description="what is measured on; test needs annotations with categories")
        ] = "val",
        note: Annotated[str, Field(description="what a reader must be told beside every number")] = "",
    ) -> None:
        self.chosen = tuple(name for name in DOMAINS if domains is None or name in domains)
        self.size, self.note = (height, width), note
        self.standardise, self.tested = standardise, tested
        self._names = {name: [f"class {i + 1}" for i in range(DOMAINS[name].classes)] for name in self.chosen}

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """A classification for each domain; the classes have their names once ``splits`` has read the annotations."""
        return tasks_of(self._names, [name for name in self.chosen if not DOMAINS[name].augmented])

    def raw_files(self) -> list[RawFile]:
        """Each domain's folder and annotations, and the statistics."""
        how = (
            "get data and devkit from www.robots.ox.ac.uk/~vgg/decathlon (ImageNet's need an account there), put the "
            "domains' folders, `annotations` and the statistics into one folder and set `source` to it"
        )
        names = [name for task in self.chosen for name in self._raw_names(task)]
        return [RawFile(name, instructions=how) for name in [*names, *[_STATISTICS] * self.standardise]]

    def _raw_names(self, task: str) -> list[str]:
        folder = DOMAINS[task].folder
        return [folder, *(f"annotations/{folder}_{split}.json" for split in ("train", self.tested))]

    def sources(self, raw: Path) -> dict[str, dict[str, Any]]:
        """One digest for each folder, and those of the other files."""
        found = {}
        for file in self.raw_files():
            path = Path(raw) / file.name
            if path.is_dir():
                found[file.name] = digest_of_folder(path, "*")
            else:
                found[file.name] = {"sha256": digest_of(path), "bytes": path.stat().st_size}
        return found

    def splits(self, raw: Path) -> Mapping[str, Split]:
        """``train``, and ``val`` (or ``test``) as test, domain after domain, after a check of all annotations."""
        _annotations.cache_clear()
        _statistics.cache_clear()
        raw = Path(raw).resolve()
        _check_folders(raw, self.chosen)
        if self.standardise:
            _check_statistics(raw, self.chosen)
        for task in self.chosen:
            train, test = (_annotations(raw, task, split) for split in ("train", self.tested))
            _check_apart(raw, task, train, test, self.tested)
            self._names[task] = list(train.classes)
        return {"train": self._split(raw, "train"), "test": self._split(raw, self.tested)}

    def unlabelled(self, raw: Path, task: str) -> tuple[Annotations, Split]:
        """The challenge's test images of a domain: their annotations, and images that are loaded without classes."""
        raw = Path(raw).resolve()
        found = _annotations(raw, task, "test")
        load = _Image(raw, (task,), "test", self.size, self.standardise)
        return found, Split(len(found.ids), load, names=found.paths)

    def _split(self, raw: Path, split: str) -> Split:
        found = [_annotations(raw, task, split) for task in self.chosen]
        names = [path for one in found for path in one.paths]
        return Split(len(names), _Image(raw, self.chosen, split, self.size, self.standardise), names=names)


@functools.cache
def _annotations(raw: Path, task: str, split: str) -> Annotations:
    """Read once in each process: a job that carried them would be large."""
    official = DOMAINS[task]
    return read_annotations(raw / "annotations" / f"{official.folder}_{split}.json", official, split)


@functools.cache
def _statistics(raw: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return read_statistics(raw / _STATISTICS)


@dataclass(frozen=True)
class _Image:
    """Reads image i of a split."""

    raw: Path
    tasks: tuple[str, ...]
    split: str
    size: tuple[int, int]
    standardise: bool

    def __call__(self, index: int) -> dict[str, np.ndarray]:
        for task in self.tasks:
            found = _annotations(self.raw, task, self.split)
            if index < len(found.ids):
                break
            index -= len(found.ids)
        image = read_fitted(self.raw / found.paths[index], self.size, "crop")
        if self.standardise:
            image = standardised(image, *_statistics(self.raw)[DOMAINS[task].folder])
        return {"image": image, **labels_of(self.tasks, task, found.labels[index])}


def _check_folders(raw: Path, tasks: Sequence[str]) -> None:
    missing = [DOMAINS[task].folder for task in tasks if not (raw / DOMAINS[task].folder).is_dir()]
    if missing:
        raise DataError(
            f"{raw}: expected a folder for each domain, found none for {', '.join(missing)}; put them there, or name "
            "the domains that you have under `domains`"
        )


def _check_statistics(raw: Path, tasks: Sequence[str]) -> None:
    missing = [DOMAINS[task].folder for task in tasks if DOMAINS[task].folder not in _statistics(raw)]
    if missing:
        raise DataError(f"{raw / _STATISTICS}: expected a mean and a deviation of every domain, none of {missing}")
    flat = [DOMAINS[task].folder for task in tasks if not _statistics(raw)[DOMAINS[task].folder][1].all()]
    if flat:
        raise DataError(f"{raw / _STATISTICS}: expected deviations above 0, found 0 for {', '.join(flat)}")


def _check_apart(raw: Path, task: str, train: Annotations, test: Annotations, tested: str) -> None:
    """Raise DataError unless both splits have the same classes and different images, and the tested ones have one."""
    where = raw / "annotations" / f"{DOMAINS[task].folder}_{tested}.json"
    if train.classes != test.classes:
        raise DataError(f"{where}: expected the categories of the training annotations, found others")
    if both := set(train.ids) & set(test.ids):
        raise DataError(f"{where}: expected other image ids than in training, found {len(both)} of those")
    if -1 in test.labels:
        raise DataError(f"{where}: expected categories to measure with, found none; set tested: val")
