"""Folders of one's own pictures by class, a domain each."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from mtlbench.datasets import Dataset, Split
from mtlbench.datasets._domains import check_names, labels_of, tasks_of
from mtlbench.datasets.class_folders.domain import DomainPictures, read_domain
from mtlbench.datasets.class_folders.picture import Fit, read_fitted
from mtlbench.datasets.raw.files import RawFile, digest_of_folder
from mtlbench.system.errors import ParamsError


class ImageFolders(Dataset):
    """Any class-labelled image folders, as torchvision reads them: ``domain/{train,test,val}/class/*.png``.

    Without ``train`` in a domain's folder its class folders are split here. Classes are in the order of their names,
    which ``classes`` counts, so that an experiment is planned without the pictures. Pictures of any mode become RGB.
    """

    version: ClassVar[int] = 1
    domains = True

    def __init__(
        self,
        *,
        classes: Annotated[
            dict[str, Annotated[int, Field(ge=2, le=32767)]],
            Field(min_length=1, description="{domain, which is a folder of `source`: its number of classes}"),
        ],
        height: Annotated[int, Field(ge=8, le=1024, description="image height in pixels")] = 64,
        width: Annotated[int, Field(ge=8, le=1024, description="image width in pixels")] = 64,
        fit: Annotated[
            Literal["crop", "stretch"],
            Field(description="pictures of other proportions: crop cuts the middle out, stretch changes them"),
        ] = "crop",
        fixed: Annotated[
            list[str] | None, Field(description="domains whose pictures are never zoomed or mirrored; null: none")
        ] = None,
        share: Annotated[
            float, Field(gt=0, lt=1, description="tested share of each class where the split is made here")
        ] = 0.2,
        seed: Annotated[int, Field(ge=0, description="number by which that split is drawn")] = 0,
        note: Annotated[str, Field(description="what a reader must be told beside every number")] = "",
    ) -> None:
        check_names(classes)
        self.classes, self.fixed = dict(classes), tuple(fixed or ())
        if unknown := [name for name in self.fixed if name not in classes]:
            raise ParamsError(
                f"image_folders: fixed: expected domains among {', '.join(classes)}, found {unknown[0]!r}"
            )
        self.size, self.note = (height, width), note
        self.fit: Fit = fit
        self.share, self.seed = share, seed
        self._names = {name: [f"class {i + 1}" for i in range(count)] for name, count in self.classes.items()}

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """A classification for each domain; the classes have their names once ``splits`` has read the folders."""
        return tasks_of(self._names, self.fixed)

    def raw_files(self) -> list[RawFile]:
        """The folders of the domains."""
        how = "a folder of pictures that you hold; set `source` to the folder that contains it"
        return [RawFile(name, instructions=how) for name in self.classes]

    def sources(self, raw: Path) -> dict[str, dict[str, Any]]:
        """One digest for each folder."""
        return {name: digest_of_folder(Path(raw) / name, "*") for name in self.classes}

    def splits(self, raw: Path) -> Mapping[str, Split]:
        """Both splits, domain after domain, after a check of all folders."""
        _read.cache_clear()
        _images.cache_clear()
        source = _Source(Path(raw).resolve(), tuple(self.classes.items()), self.share, self.seed)
        found = _read(source)
        self._names = {name: list(domain.classes) for name, domain in found.items()}
        remarks = tuple(text for domain in found.values() for text in domain.remarks)
        made = {}
        for split, told in (("train", ()), ("test", remarks)):
            images = _images(source, split)
            load = _Image(source, split, self.size, self.fit)
            made[split] = Split(len(images), load, names=[path for _, path, _ in images], remarks=told)
        return made


@dataclass(frozen=True)
class _Source:
    """Which folders are read, and how they are split."""

    raw: Path
    classes: tuple[tuple[str, int], ...]
    share: float
    seed: int


@functools.cache
def _read(source: _Source) -> dict[str, DomainPictures]:
    """{domain: its pictures}, listed once in each process: a job that carried the list would be large."""
    return {name: read_domain(source.raw, name, n, source.share, source.seed) for name, n in source.classes}


@functools.cache
def _images(source: _Source, split: str) -> list[tuple[str, str, int]]:
    """(domain, path, class) of every image of a split."""
    parts = {name: domain.train if split == "train" else domain.test for name, domain in _read(source).items()}
    return [(name, *image) for name, part in parts.items() for image in zip(part.paths, part.labels, strict=True)]


@dataclass(frozen=True)
class _Image:
    """Reads image i of a split."""

    source: _Source
    split: str
    size: tuple[int, int]
    fit: Fit

    def __call__(self, index: int) -> dict[str, np.ndarray]:
        domain, path, label = _images(self.source, self.split)[index]
        image = read_fitted(self.source.raw / path, self.size, self.fit)
        return {"image": image, **labels_of([name for name, _ in self.source.classes], domain, label)}
