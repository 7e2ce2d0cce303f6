"""Procedural indoor scenes with exact maps, rendered by ray casting."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from mtlbench.datasets import Dataset, Split
from mtlbench.datasets.geometry.camera import NYUV2_CAMERA, NYUV2_SIZE
from mtlbench.datasets.raw.files import RawFile
from mtlbench.datasets.scenes.draw import Draw
from mtlbench.datasets.scenes.furniture import CLASSES
from mtlbench.datasets.scenes.render import photograph, render
from mtlbench.datasets.scenes.room import furnish
from mtlbench.plan.options import Later

_SPLITS = ("train", "test")


class Rooms(Dataset):
    """Furnished rooms seen by NYUv2's camera: segmentation (13 classes), depth and normals without any error.

    Each image is another room with its own size, furniture, textures, light and camera position, drawn from
    (``seed``, split, number), so any number of images can be had and image i never depends on the others. The
    labels are NYU Depth V2's 13 classes, depth is the z coordinate in metres (or its inverse, the task of CityScapes),
    normals are analytic. Nothing is downloaded.
    """

    version: ClassVar[int] = 1

    def __init__(
        self,
        *,
        height: Annotated[int, Field(ge=8, le=2048, description="image height in pixels")] = 96,
        width: Annotated[int, Field(ge=8, le=2048, description="image width in pixels")] = 128,
        train: Annotated[int, Field(ge=1, description="number of training images")] = 256,
        test: Annotated[int, Field(ge=1, description="number of test images")] = 64,
        seed: Annotated[int, Field(ge=0, description="number from which all rooms are drawn")] = 0,
        noise: Annotated[float, Field(ge=0, le=64, description="sensor noise: standard deviation, grey levels")] = 3.0,
        distance: Annotated[
            Literal["depth", "inverse_depth"], Later, Field(description="which of both tasks: metres or 1/metres")
        ] = "depth",
    ) -> None:
        self.size = (height, width)
        self.counts = {"train": train, "test": test}
        self.train_scenes = train
        self.seed, self.noise, self.distance = seed, noise, distance
        self.camera = NYUV2_CAMERA.resized(NYUV2_SIZE, self.size)

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """Segmentation, depth or inverse depth, and normals."""
        return {
            "segmentation": {"classes": len(CLASSES), "class_names": list(CLASSES)},
            self.distance: {"unit": "1/m", "largest": 1.0} if self.distance == "inverse_depth" else {},
            "normals": {},
        }

    def raw_files(self) -> list[RawFile]:
        """None: the images are generated."""
        return []

    def splits(self, raw: Path) -> Mapping[str, Split]:
        """Splits that render their images on demand; every image is a scene of its own."""
        del raw
        return {
            name: Split(
                count,
                _Image(self, number),
                np.arange(count, dtype=np.int32),
                [f"seed {self.seed}, split {number}, room {index}" for index in range(count)],
            )
            for number, name in enumerate(_SPLITS)
            for count in (self.counts[name],)
        }


@dataclass(frozen=True)
class _Image:
    """Renders image i of a split; a class, not a closure, so that processes can be handed it."""

    rooms: Rooms
    split: int

    def __call__(self, index: int) -> dict[str, np.ndarray]:
        draw = Draw(self.rooms.seed, self.split, index)
        view = render(furnish(draw), self.rooms.camera, *self.rooms.size)
        distance = view.depth if self.rooms.distance == "depth" else 1 / view.depth
        return {
            "image": photograph(view.radiance, draw, self.rooms.noise),
            "segmentation": view.label,
            self.rooms.distance: distance[None].astype(np.float16),
            "normals": view.normals.astype(np.float16),
        }
