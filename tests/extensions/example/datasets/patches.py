"""Coloured rectangles under light that falls off to one side."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from mtlbench.datasets import Dataset, Split
from mtlbench.datasets.raw.files import RawFile

CLASSES = ("wall", "red", "green", "blue")
_COLOURS = np.array([[0.7, 0.7, 0.7], [0.8, 0.2, 0.2], [0.2, 0.7, 0.2], [0.2, 0.3, 0.8]], np.float32)


@dataclass(frozen=True)
class _Load:
    """One image of a split, from its number alone."""

    split: int
    size: tuple[int, int]

    def __call__(self, index: int) -> Mapping[str, np.ndarray]:
        height, width = self.size
        random = np.random.default_rng([self.split, index])
        label = np.zeros(self.size, np.int8)
        for _ in range(6):
            top, left = random.integers(0, height), random.integers(0, width)
            label[top : top + height // 3, left : left + width // 3] = random.integers(1, len(CLASSES))
        albedo = np.moveaxis(_COLOURS[label], -1, 0)
        light = np.linspace(random.uniform(0.4, 1), random.uniform(0.4, 1), width, dtype=np.float32)
        image = (albedo * light * 255).round().astype(np.uint8)
        return {"image": image, "segmentation": label, "albedo": albedo.astype(np.float16)}


class Patches(Dataset):
    """Rectangles of three colours on a grey wall, made here: class and reflected share of light for every pixel."""

    version: ClassVar[int] = 1

    def __init__(
        self,
        *,
        height: Annotated[int, Field(ge=8, description="pixels")] = 32,
        width: Annotated[int, Field(ge=8, description="pixels")] = 32,
        train: Annotated[int, Field(ge=1, description="training images")] = 8,
        test: Annotated[int, Field(ge=1, description="test images")] = 4,
    ) -> None:
        self.size = (height, width)
        self.counts = {"train": train, "test": test}

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """Segmentation as in the package, and the task of this folder."""
        return {"segmentation": {"classes": len(CLASSES), "class_names": list(CLASSES)}, "albedo": {}}

    def raw_files(self) -> list[RawFile]:
        """None."""
        return []

    def splits(self, raw: Path) -> Mapping[str, Split]:
        """Both splits, without a file."""
        return {
            name: Split(count, _Load(number, self.size)) for number, (name, count) in enumerate(self.counts.items())
        }
