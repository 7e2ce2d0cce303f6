"""What the maps of a task are: how they are stored, which values are valid, and what kind of quantity they hold.

A task's class says it in one attribute (``maps``), and everything that handles stored maps asks it: the check of each
image and the statistics at preparation, the reading in a run, random zoom and mirroring, the legends. Nothing here
imports torch, so that the processes that prepare a dataset start at once.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

#: |length - 1| of a unit vector rounded to float16: half a unit in the last place per component is 2.4e-4, so
#: the length is off by at most 4.3e-4; the rest is room for normals that were computed in float32.
_UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Maps:
    """The maps of one image: an array (channels, H, W), or (H, W) where ``channels`` is 0."""

    channels: ClassVar[int] = 1
    dtype: ClassVar[str] = "float16"
    #: False where an image has one value for all its pixels; then images without one are images of other domains.
    per_pixel: ClassVar[bool] = True

    def shape(self, size: tuple[int, int]) -> tuple[int, ...]:
        """The shape of one image's array for images of (height, width)."""
        return (self.channels, *size) if self.channels else size

    def valid(self, image: np.ndarray) -> np.ndarray:
        """Which pixels (H, W) of one image hold a value: here those where any channel is not 0."""
        return (image != 0).any(0)

    def broken(self, image: np.ndarray) -> str:
        """What is wrong with values of one image that no run can use, in words; "" when nothing is."""
        bad = int((~np.isfinite(image)).sum())
        return f"holds {bad} values that are NaN or infinite" if bad else ""

    def problem(self, image: np.ndarray) -> str:
        """What is wrong with one image that is to be stored, in words; "" when nothing is."""
        found = self.broken(image)
        return f"{found}; invalid pixels must be 0" if found else ""

    def legend(self) -> list[tuple[str, np.ndarray]]:
        """(text, stored values (C, 1, n)) that the task draws to show what its colours mean."""
        return []


@dataclass(frozen=True)
class Picture(Maps):
    """The image itself: RGB bytes."""

    channels = 3
    dtype = "uint8"

    def valid(self, image: np.ndarray) -> np.ndarray:
        """All pixels."""
        return np.ones(image.shape[1:], bool)

    def broken(self, image: np.ndarray) -> str:
        """Nothing can be wrong."""
        return ""


@dataclass(frozen=True)
class Labels(Maps):
    """A class index for every pixel, -1 = void. Zooming takes the nearest pixel's."""

    names: tuple[str, ...]
    channels = 0
    dtype = "int8"

    def valid(self, image: np.ndarray) -> np.ndarray:
        """Pixels that are not void."""
        return image >= 0

    def broken(self, image: np.ndarray) -> str:
        """An index outside of the table of classes."""
        low, high, last = int(image.min()), int(image.max()), len(self.names) - 1
        return "" if low >= -1 and high <= last else f"must lie in -1..{last}, found {low}..{high}"

    def problem(self, image: np.ndarray) -> str:
        """The same."""
        return self.broken(image)

    def legend(self) -> list[tuple[str, np.ndarray]]:
        """Void and every class."""
        return [(name, np.array([[label]], np.int8)) for label, name in enumerate(["void", *self.names], start=-1)]


@dataclass(frozen=True)
class Classes(Maps):
    """One class index for the whole image, -1 = an image of another domain. Zooming and mirroring leave it."""

    names: tuple[str, ...]
    channels = 0
    dtype = "int16"
    per_pixel = False

    def shape(self, size: tuple[int, int]) -> tuple[int, ...]:
        """(): a single number, whatever the image's size."""
        return ()

    def valid(self, image: np.ndarray) -> np.ndarray:
        """Whether the image has a class."""
        return np.asarray(image >= 0)

    def broken(self, image: np.ndarray) -> str:
        """An index outside of the table of classes."""
        last = len(self.names) - 1
        return "" if -1 <= image <= last else f"must lie in -1..{last}, found {int(image)}"

    def problem(self, image: np.ndarray) -> str:
        """The same."""
        return self.broken(image)


@dataclass(frozen=True)
class Values(Maps):
    """Numbers that belong to the surface, between ``lowest`` and ``highest``: zooming and mirroring only move them.

    ``invalid`` is the value that all channels of a pixel without ground truth hold; None where every pixel has one.
    Between pixels they are mixed (bilinear), but never with invalid ones.
    """

    number: int = 1
    lowest: float = 0.0
    highest: float = 1.0
    invalid: float | None = None

    @property
    def channels(self) -> int:  # type: ignore[override]
        """Numbers of one pixel."""
        return self.number

    def valid(self, image: np.ndarray) -> np.ndarray:
        """Pixels that have any number that is not the invalid value."""
        return np.ones(image.shape[1:], bool) if self.invalid is None else (image != self.invalid).any(0)

    def problem(self, image: np.ndarray) -> str:
        """NaN and infinity, and valid values outside of the range."""
        if found := self.broken(image):
            return found
        values = image[:, self.valid(image)]
        if not values.size or (values.min() >= self.lowest and values.max() <= self.highest):
            return ""
        return (
            f"must lie in {self.lowest:g}..{self.highest:g}, found {float(values.min()):.4g}..{float(values.max()):.4g}"
        )

    def legend(self) -> list[tuple[str, np.ndarray]]:
        """The range, all channels alike."""
        ramp = np.linspace(self.lowest, self.highest, 9, dtype=np.float16)
        return [(f"{self.lowest:g} to {self.highest:g}", np.tile(ramp, (self.number, 1, 1)))]


@dataclass(frozen=True)
class Distances(Maps):
    """Positive distances from the camera's plane, 0 = invalid. Zooming by s divides them by s."""

    def problem(self, image: np.ndarray) -> str:
        """NaN and infinity, and negative values."""
        if found := super().problem(image):
            return found
        return "" if image.min() >= 0 else f"must not be negative, found {float(image.min()):.4g}"


@dataclass(frozen=True)
class InverseDistances(Distances):
    """Their inverses (or disparities), 0 = invalid. Zooming by s multiplies them by s."""


@dataclass(frozen=True)
class Directions(Maps):
    """Unit vectors in camera axes (x right, y down, z forward), (0, 0, 0) = invalid. Zooming turns them, mirroring
    negates x."""

    channels = 3

    def problem(self, image: np.ndarray) -> str:
        """NaN and infinity, and vectors of another length."""
        if found := super().problem(image):
            return found
        length = np.sqrt((image.astype(np.float32) ** 2).sum(0))[self.valid(image)]
        off = float(np.abs(length - 1).max()) if length.size else 0.0
        return "" if off <= _UNIT_TOLERANCE else f"must be unit vectors or 0, found a length that is off by {off:.2g}"

    def legend(self) -> list[tuple[str, np.ndarray]]:
        """Some directions."""
        directions = {
            "invalid": (0, 0, 0), "facing the camera": (0, 0, -1), "facing right": (1, 0, 0), "left": (-1, 0, 0),
            "up": (0, -1, 0), "down": (0, 1, 0),
        }  # fmt: skip
        return [(text, np.array(vector, np.float16).reshape(3, 1, 1)) for text, vector in directions.items()]
