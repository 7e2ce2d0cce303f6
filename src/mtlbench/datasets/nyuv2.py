"""NYU Depth V2 from the official files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from mtlbench.datasets import Dataset, Split
from mtlbench.datasets import _nyuv2_file as nyu
from mtlbench.datasets._nyuv2_check import check_orientation
from mtlbench.datasets.geometry.camera import NYUV2_CAMERA
from mtlbench.datasets.geometry.normals import normals_from_depth
from mtlbench.datasets.geometry.resize import nearest_pixels, resize_nearest, resize_picture
from mtlbench.datasets.raw.files import RawFile, digest_of_folder, require
from mtlbench.datasets.raw.pictures import read_picture
from mtlbench.system.errors import DataError

_SITE = "horatio.cs.nyu.edu/mit/silberman"
_META = "https://raw.githubusercontent.com/ankurhanda/nyuv2-meta-data/master"
_FILES = (
    RawFile(
        nyu.LABELED,
        (f"http://{_SITE}/nyu_depth_v2/{nyu.LABELED}", f"https://{_SITE}/nyu_depth_v2/{nyu.LABELED}"),
        2972037809,
        "2d724b0c0ab358aa1ce5df855e5bd14a2279ab7202efe22f32a30d612dcb86aa",
        "520609c519fba3ba5ac58c8fefcc3530",
    ),
    RawFile(
        nyu.SPLITS,
        (f"http://{_SITE}/indoor_seg_sup/{nyu.SPLITS}", f"{_META}/{nyu.SPLITS}"),
        2626,
        "6e081404491a8bfba2f066beaa9713ef6046f9007aa5f799f2a350506a580cee",
        "08e3c3aea27130ac7c01ffd739a4535f",
    ),
    RawFile(
        nyu.MAP40,
        (f"{_META}/{nyu.MAP40}",),
        10474,
        "ff177194cce9a2163517f1e1e6f1c64c50987162f542dedddc04bbf6ebe6d851",
        required=False,
    ),
    RawFile(
        nyu.MAP13,
        (f"{_META}/{nyu.MAP13}",),
        408,
        "4e79ab24c345896c19abc62476b2c3520f3e2db00f71f868c5027208af48a3de",
        required=False,
    ),
)
#: Rows and columns inside which the depth sensor's field of view lies: 427 x 561 pixels, from the authors' toolbox
#: (get_projection_mask.m: rows 45:471 and columns 41:601, counted from 1).
_BOX = (slice(44, 471), slice(40, 601))
#: Folders of the archive of published normals, and what their pictures are read as.
_ARCHIVE = {"normals": "RGB", "masks": "L"}


class NYUv2(Dataset):
    """NYU Depth V2: 795 training and 654 test images of rooms; segmentation, depth in metres, normals.

    Silberman et al., "Indoor Segmentation and Support Inference from RGBD Images", ECCV 2012. Everything comes from
    the official ``nyu_depth_v2_labeled.mat`` and ``splits.mat``. The published normals are offline since 2022, so
    normals are computed from depth as those were (``geometry/normals.py``) unless the user has the archive. Normals
    outside the depth sensor's field of view are invalid, because the depth there is extrapolated.
    """

    version: ClassVar[int] = 3

    def __init__(
        self,
        *,
        height: Annotated[int, Field(ge=8, le=480, description="image height in pixels")] = 288,
        width: Annotated[int, Field(ge=8, le=640, description="image width in pixels")] = 384,
        classes: Annotated[Literal[13, 40], Field(description="13 or 40 classes")] = 13,
        normals: Annotated[
            Literal["depth", "archive"],
            Field(description="depth: computed; archive: folders normals/ and masks/ of normals_gt.tgz"),
        ] = "depth",
        depth: Annotated[
            Literal["filled", "raw"], Field(description="filled: holes inpainted by the authors; raw: holes invalid")
        ] = "filled",
        border: Annotated[
            Literal["keep", "invalid", "crop"],
            Field(description="outside the sensor's view: crop (as published tables do), keep or invalidate the maps"),
        ] = "crop",
        checksums: Annotated[
            Literal["official", "none"], Field(description="official: the published files; none: a rebuilt file")
        ] = "official",
        note: Annotated[
            str, Field(description="what a reader must be told beside every number, e.g. rebuilt data")
        ] = "",
    ) -> None:
        self.size = (height, width)
        self.classes, self.normals, self.depth, self.border = classes, normals, depth, border
        self.checksums, self.note = checksums, note

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """Segmentation, depth and normals."""
        names = nyu.class_names(self.classes)
        return {"segmentation": {"classes": self.classes, "class_names": names}, "depth": {}, "normals": {}}

    @property
    def published(self) -> str | None:
        """ "nyuv2" for the form of the published tables: official files, 13 classes, 288 x 384, borders cropped.

        The tables' author cut the invalid borders off before rescaling (issues 10 and 42 of lorenmt/mtan). With 40
        classes "nyud", in any size: those rows are of networks that are not here, and stand apart on the page.
        """
        if (self.checksums, self.border, self.depth) != ("official", "crop", "filled"):
            return None
        return "nyud" if self.classes == 40 else "nyuv2" if self.size == (288, 384) else None

    published_counts = {"train": 795, "test": 654}
    published_batch = 2

    def raw_files(self) -> list[RawFile]:
        """The labelled images, the split, and the mapping files (only compared with the shipped table)."""
        if self.checksums == "official":
            return list(_FILES)
        how = "a rebuilt file: put it into the folder that `source` names"
        return [RawFile(file.name, instructions=how) for file in _FILES if file.required]

    def sources(self, raw: Path) -> dict[str, dict[str, Any]]:
        """Digests of the files read, and of the normals' folders when they are used."""
        found = super().sources(raw)
        if self.normals == "archive":
            found |= {name: digest_of_folder(Path(raw) / name, "*.png") for name in _ARCHIVE}
        return found

    def splits(self, raw: Path) -> Mapping[str, Split]:
        """The official splits, after checks of the files and of the images' orientation."""
        require(raw, [file for file in self.raw_files() if file.required])
        nyu.check_mapping_files(raw)
        path = (raw / nyu.LABELED).resolve()
        fields = ["images", "depths", "labels"] + (["rawDepths"] if self.depth == "raw" else [])
        count = nyu.check_labeled(path, fields)
        numbers = nyu.read_splits(raw / nyu.SPLITS, count)
        if self.normals == "archive":
            _check_archive(raw, count)
        if len(numbers["train"]):
            check_orientation(path, np.concatenate([numbers["train"], numbers["test"]]))
        scenes = nyu.scene_numbers(path, count)
        # h5py objects must not travel to other processes; each opens the file for itself.
        return {
            name: Split(
                len(chosen),
                _Image(self, path, raw.resolve(), chosen),
                None if scenes is None else scenes[chosen],
                [str(number + 1) for number in chosen],
            )
            for name, chosen in numbers.items()
        }


@dataclass(frozen=True)
class _Image:
    """Reads image i of a split."""

    data: NYUv2
    path: Path
    raw: Path
    numbers: np.ndarray

    def __call__(self, index: int) -> dict[str, np.ndarray]:
        number, size = int(self.numbers[index]), self.data.size
        picture = nyu.read(self.path, "images", number)
        labels = self._labels(number)
        depth = nyu.read(self.path, "depths", number)
        if self.data.depth == "raw":
            depth = np.where(nyu.read(self.path, "rawDepths", number) > 0, depth, np.float32(0))
        inside = np.zeros(depth.shape, bool)
        inside[_BOX] = True
        normals = self._normals(number, np.where(inside, depth, np.float32(0)))
        if self.data.border == "invalid":
            labels, depth = np.where(inside, labels, np.int8(-1)), np.where(inside, depth, np.float32(0))
        if self.data.border == "crop":
            picture, labels, depth = picture[_BOX], labels[_BOX], depth[_BOX]
        return {
            "image": np.ascontiguousarray(np.moveaxis(resize_picture(picture, size), -1, 0)),
            "segmentation": resize_nearest(labels, size),
            "depth": resize_nearest(depth, size)[None].astype(np.float16),
            "normals": normals.astype(np.float16),
        }

    def _labels(self, number: int) -> np.ndarray:
        ids = nyu.read(self.path, "labels", number)
        lookup = nyu.label_lookup(self.data.classes)
        if ids.max() >= len(lookup):
            raise DataError(
                f"{self.path}: labels of image {number + 1}: expected ids 0..894, found {int(ids.max())}, which the "
                "class mapping does not know"
            )
        return lookup[ids]

    def _normals(self, number: int, depth: np.ndarray) -> np.ndarray:
        """The normals (3, height, width) of the pixels that resizing takes, from depth that is 0 outside the view."""
        cut = self.data.border == "crop"
        box = depth[_BOX] if cut else depth
        rows, columns = nearest_pixels((box.shape[0], box.shape[1]), self.data.size)
        if cut:
            rows, columns = rows + _BOX[0].start, columns + _BOX[1].start
        if self.data.normals == "archive":
            return read_archive(self.raw, number)[:, rows[:, None], columns]
        return normals_from_depth(depth, NYUV2_CAMERA, (rows, columns))


def read_archive(raw: Path, number: int) -> np.ndarray:
    """Normals (3, 480, 640) of one image of the published archive, turned into our axes; (0, 0, 0) = invalid.

    The PNG stores round(127.5 n + 127) with red = x, green = z, blue = -y; (127, 127, 127) and a black mask are
    invalid.
    """
    pixels, mask = (_archive_picture(raw / folder / f"{number:04d}.png", mode) for folder, mode in _ARCHIVE.items())
    pixels, mask = pixels.astype(np.float32), mask > 0
    n = (pixels - 127) / 127.5
    normals = np.stack([n[..., 0], -n[..., 2], n[..., 1]])
    length = np.sqrt((normals**2).sum(0))
    # Rounding leaves a unit vector within 1 % of its length; what is much shorter holds no direction.
    valid = mask & (pixels != 127).any(-1) & (length > 0.5)
    return np.where(valid, normals / np.maximum(length, 1e-6), 0)


def _archive_picture(path: Path, mode: str) -> np.ndarray:
    picture = read_picture(path, str(path), mode)
    if picture.shape[:2] != (480, 640):
        raise DataError(f"{path}: expected 640 x 480 pixels, found {picture.shape[1]} x {picture.shape[0]}")
    return picture


def _check_archive(raw: Path, count: int) -> None:
    for folder in _ARCHIVE:
        missing = [number for number in range(count) if not (raw / folder / f"{number:04d}.png").is_file()]
        if missing:
            raise DataError(
                f"{raw / folder}: expected {count} files 0000.png to {count - 1:04d}.png, {len(missing)} are missing "
                f"(first {missing[0]:04d}.png). Unpack normals_gt.tgz here, or set normals: depth"
            )
    first = read_archive(raw, 0)
    valid = (first != 0).any(0)
    if valid.any() and float((first[2][valid] < 0).mean()) < 0.5:
        raise DataError(f"{raw / 'normals'}: expected normals towards the camera (z < 0), most of 0000.png point away")
