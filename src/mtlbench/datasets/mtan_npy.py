"""Preprocessed .npy folders in the layout of MTAN's code, which users of the field hold."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from mtlbench.datasets import Dataset, Split
from mtlbench.datasets import _nyuv2_file as nyu
from mtlbench.datasets._cityscapes_labels import class_names
from mtlbench.datasets.geometry.unit import point_away, unit_normals
from mtlbench.datasets.raw.arrays import read_array
from mtlbench.datasets.raw.files import RawFile, digest_of_folder
from mtlbench.system.errors import DataError, ParamsError

_SPLITS = {"train": "train", "test": "val"}
#: Layout: images by split, image size and test batch of the published tables.
_TABLES: dict[str, tuple[dict[str, int], tuple[int, int], int]] = {
    "nyuv2": ({"train": 795, "test": 654}, (288, 384), 2),
    "cityscapes": ({"train": 2975, "test": 500}, (128, 256), 8),
}
#: Images of the preprocessed folders as their makers give them.
_PUBLISHED = {"nyuv2": {"train": 795, "test": 654}, "cityscapes": {"train": 2975, "test": 500}}
#: A stored value may leave its range by this much: sums of weights in a resizing are not exactly 1.
_SLACK = 1e-3
#: Values that a stored array may have in any case: those of a picture of 2048 x 1024.
_ROOM = 3 * 2048 * 1024


class MtanNpy(Dataset):
    """MTAN's preprocessed folders of NYU Depth V2 or CityScapes as a source of the same tasks.

    ``{train,val}/{image,label,depth,normal}/%d.npy`` or, for CityScapes, ``{train,val}/{image,depth,label_N}/%d.npy``:
    rows first, images in [0, 1], labels as whole numbers with -1 = void, depth in metres or (CityScapes) disparity /
    65535 with 0 = invalid, normals in [-1, 1] with (0, 0, 0) = invalid; float32 or float64. What cannot be used is told
    image by image; what can be mended (normals that a resizing has shortened) is mended and counted in the manifest.
    """

    version: ClassVar[int] = 1

    def __init__(
        self,
        *,
        layout: Annotated[Literal["nyuv2", "cityscapes"], Field(description="which of the two layouts")] = "nyuv2",
        height: Annotated[int, Field(ge=8, description="height of the stored images in pixels")] = 288,
        width: Annotated[int, Field(ge=8, description="width of the stored images in pixels")] = 384,
        classes: Annotated[Literal[2, 7, 13, 19], Field(description="13 for nyuv2; 2, 7 or 19 for cityscapes")] = 13,
        normals_axes: Annotated[
            Literal["archive", "camera"],
            Field(description="archive: (x, z, -y) as in the published pictures; camera: x right, y down, z forward"),
        ] = "archive",
        note: Annotated[str, Field(description="what a reader must be told beside every number")] = "",
    ) -> None:
        if (classes == 13) != (layout == "nyuv2"):
            raise ParamsError(
                f"mtan_npy: expected 13 classes for nyuv2 and 2, 7 or 19 for cityscapes, found {classes} for {layout}"
            )
        self.layout, self.classes, self.normals_axes, self.note = layout, classes, normals_axes, note
        self.size = (height, width)
        self.published_counts, _, self.published_batch = _TABLES[layout]

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """Segmentation with depth and normals, or with inverse depth."""
        names = nyu.class_names(13) if self.layout == "nyuv2" else class_names(self.classes)
        tasks: dict[str, dict[str, Any]] = {"segmentation": {"classes": self.classes, "class_names": names}}
        if self.layout == "nyuv2":
            return tasks | {"depth": {}, "normals": {}}
        return tasks | {"inverse_depth": {"unit": "", "largest": 0.3}}

    @property
    def published(self) -> str | None:
        """The published table of the layout at the table's image size; ``published_for`` asks for all images too."""
        _, size, _ = _TABLES[self.layout]
        name = "nyuv2" if self.layout == "nyuv2" else f"cityscapes{self.classes}"
        return name if self.size == size else None

    def raw_files(self) -> list[RawFile]:
        """The two folders."""
        how = "the folder of preprocessed .npy files that you hold; set `source` to the folder that contains it"
        return [RawFile(name, instructions=how) for name in _SPLITS.values()]

    def sources(self, raw: Path) -> dict[str, dict[str, Any]]:
        """One digest for each folder."""
        return {name: digest_of_folder(Path(raw) / name, "*.npy") for name in _SPLITS.values()}

    def splits(self, raw: Path) -> Mapping[str, Split]:
        """``train`` and ``val`` (as test), after a check that every image has all its files."""
        folders = ["image", "label", "depth", "normal"]
        if self.layout == "cityscapes":
            folders = ["image", f"label_{self.classes}", "depth"]
        result = {}
        for split, name in _SPLITS.items():
            counts = {folder: _count(raw / name / folder) for folder in folders}
            if len(set(counts.values())) != 1:
                raise DataError(f"{raw / name}: expected the same number of files in all folders, found {counts}")
            count, published = counts["image"], _PUBLISHED[self.layout][split]
            told = f"the published folders hold {published} {split} images, these hold {count}"
            files = [f"{name}/image/{number}.npy" for number in range(count)]
            load = _Image(self, (raw / name).resolve(), folders)
            result[split] = Split(count, load, names=files, remarks=() if count == published else (told,))
        return result


def _count(folder: Path) -> int:
    """The number of files 0.npy .. n-1.npy; DataError when the folder or a number is missing."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected files 0.npy, 1.npy ... in it")
    stems = [path.stem for path in folder.glob("*.npy") if not path.name.startswith(".")]
    foreign = sorted(stem for stem in stems if not re.fullmatch(r"0|[1-9][0-9]{0,8}", stem))
    if foreign:
        raise DataError(f"{folder}: expected files 0.npy, 1.npy ... only, found {foreign[0]}.npy; take it out")
    numbers = {int(stem) for stem in stems}
    most = max(numbers, default=-1)
    if most + 1 > len(numbers):  # without a list of all numbers: the largest may be absurd
        first = next(number for number in range(most) if number not in numbers)
        raise DataError(
            f"{folder}: {most + 1 - len(numbers)} of the files 0.npy to {most}.npy are missing (first {first}.npy)"
        )
    return len(numbers)


@dataclass(frozen=True)
class _Image:
    """Reads and checks image i of a split."""

    data: MtanNpy
    folder: Path
    folders: list[str]

    def __call__(self, index: int) -> dict[str, Any]:
        height, width = self.data.size
        found = {name: self._read(index, name) for name in self.folders}
        problems: list[str] = []
        remarks: dict[str, int] = {}
        label = next(name for name in self.folders if name.startswith("label"))
        result: dict[str, Any] = {
            "image": _image(_shaped(found["image"], (height, width, 3), "image", problems), problems),
            "segmentation": _labels(
                _shaped(found[label], (height, width), label, problems), self.data.classes, problems
            ),
        }
        depth = _shaped(found["depth"], (height, width), "depth", problems)
        if self.data.layout == "nyuv2":
            result["depth"] = _depth(depth, 10.5, "metres", problems)
            normals = _shaped(found["normal"], (height, width, 3), "normal", problems)
            result["normals"] = _normals(normals, self.data.normals_axes, problems, remarks)
        else:
            result["inverse_depth"] = _depth(depth, 0.5, "disparity / 65535", problems)
        if problems:
            raise DataError(f"{self.folder.name}/{index}.npy: {'; '.join(problems)}")
        return result | {"remarks": remarks}

    def _read(self, index: int, name: str) -> np.ndarray:
        # Room for an image of another size: its shape is told beside the other defects of the image.
        most = max(_ROOM, 4 * 3 * self.data.size[0] * self.data.size[1])
        return read_array(self.folder / name / f"{index}.npy", most).astype(np.float64)


def _shaped(array: np.ndarray, shape: tuple[int, ...], name: str, problems: list[str]) -> np.ndarray:
    """The array in that shape (a last axis of length 1 may be there); zeros and a problem otherwise."""
    if array.shape == (*shape, 1):
        array = array[..., 0]
    if array.shape != shape:
        problems.append(f"{name}: expected the shape {shape}, found {array.shape}")
        return np.zeros(shape)
    bad = int((~np.isfinite(array)).sum())
    if bad:
        problems.append(f"{name}: {bad} values are NaN or infinite")
        return np.zeros(shape)
    return array


def _image(image: np.ndarray, problems: list[str]) -> np.ndarray:
    low, high = float(image.min()), float(image.max())
    if low < -_SLACK or high > 1 + _SLACK:
        problems.append(f"image: expected values in 0..1, found {low:g}..{high:g}")
    return np.ascontiguousarray(np.moveaxis(np.rint(np.clip(image, 0, 1) * 255), -1, 0).astype(np.uint8))


def _labels(labels: np.ndarray, classes: int, problems: list[str]) -> np.ndarray:
    # The label set is small; a map of many values was interpolated.
    values = np.unique(labels)
    wrong = values[(values != np.rint(values)) | (values < -1) | (values >= classes)]
    if len(wrong):
        shown = ", ".join(f"{value:g}" for value in wrong[:5])
        problems.append(f"labels: expected whole numbers -1..{classes - 1}, found {shown} ({len(wrong)} wrong values)")
        return np.zeros(labels.shape, np.int8)
    return labels.astype(np.int8)


def _depth(depth: np.ndarray, most: float, unit: str, problems: list[str]) -> np.ndarray:
    low, high = float(depth.min()), float(depth.max())
    if low < 0 or high > most:
        problems.append(f"depth: expected {unit} in 0..{most:g}, found {low:g}..{high:g}")
    return depth[None].astype(np.float16)


def _normals(normals: np.ndarray, axes: str, problems: list[str], remarks: dict[str, int]) -> np.ndarray:
    n = unit_normals(np.moveaxis(normals, -1, 0), problems, remarks)
    if axes == "archive":
        n = np.stack([n[0], -n[2], n[1]])
    if point_away(n):
        other = "camera" if axes == "archive" else "archive"
        problems.append(f"normal: many point away from the camera under normals_axes: {axes}; is it {other}?")
    return n.astype(np.float16)
