"""Rendered pictures in four domains of different look, for classification without a download."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from mtlbench.datasets import Dataset, Split
from mtlbench.datasets._domains import labels_of, tasks_of
from mtlbench.datasets.figures.domains import DOMAINS
from mtlbench.datasets.raw.files import RawFile
from mtlbench.datasets.scenes.draw import Draw


class Shapes(Dataset):
    """Solids (6 classes), sketches (8), textures (6) and digits (10), each a domain with a classifier of its own.

    Each picture has a figure of random size, place, turn and colours, drawn from (``seed``, domain, split, number), so
    picture i never depends on the others. The classes of a domain are equally frequent. Digits are not augmented.
    """

    version: ClassVar[int] = 2
    domains = True

    def __init__(
        self,
        *,
        height: Annotated[int, Field(ge=16, le=512, description="image height in pixels")] = 32,
        width: Annotated[int, Field(ge=16, le=512, description="image width in pixels")] = 32,
        train: Annotated[int, Field(ge=1, description="training images of each domain")] = 240,
        test: Annotated[int, Field(ge=1, description="test images of each domain")] = 120,
        seed: Annotated[int, Field(ge=0, description="number from which all pictures are drawn")] = 0,
        noise: Annotated[float, Field(ge=0, le=64, description="sensor noise: standard deviation, grey levels")] = 12.0,
    ) -> None:
        self.size = (height, width)
        self.counts = {"train": train, "test": test}
        self.seed, self.noise = seed, noise

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """A classification for each domain."""
        return tasks_of({name: classes for name, (classes, _) in DOMAINS.items()}, fixed=("digits",))

    def raw_files(self) -> list[RawFile]:
        """None: the pictures are generated."""
        return []

    def splits(self, raw: Path) -> Mapping[str, Split]:
        """Splits that render their pictures on demand, domain after domain."""
        del raw
        return {
            split: Split(
                count * len(DOMAINS),
                _Image(self, number, count),
                names=[
                    f"seed {self.seed}, split {number}, {name} {index}" for name in DOMAINS for index in range(count)
                ],
            )
            for number, (split, count) in enumerate(self.counts.items())
        }


@dataclass(frozen=True)
class _Image:
    """Renders image i of a split; a class, not a closure, so that processes can be handed it."""

    shapes: Shapes
    split: int
    count: int

    def __call__(self, index: int) -> dict[str, np.ndarray]:
        domain, number = divmod(index, self.count)
        name = list(DOMAINS)[domain]
        classes, picture = DOMAINS[name]
        label = number % len(classes)
        draw = Draw(self.shapes.seed, domain, self.split, number)
        light = 255 * picture(draw, label, self.shapes.size)
        light = light + self.shapes.noise * draw.noise(light.shape)
        image = np.clip(np.rint(light), 0, 255).astype(np.uint8)
        return {"image": image, **labels_of(list(DOMAINS), name, label)}
