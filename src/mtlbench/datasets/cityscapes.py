"""CityScapes from the official packages."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from mtlbench.datasets import Dataset, Split
from mtlbench.datasets._cityscapes_labels import class_names, label_lookup
from mtlbench.datasets.geometry.resize import resize_nearest, resize_picture
from mtlbench.datasets.raw import packages
from mtlbench.datasets.raw.files import Login, RawFile, check, digest_of, digest_of_folder
from mtlbench.datasets.raw.pictures import read_picture
from mtlbench.system.errors import DataError

_SITE = "https://www.cityscapes-dataset.com"
_HOW = (
    f"Register at {_SITE}/register/ (free for research), log in, and download {{}}_trainvaltest.zip from "
    f"{_SITE}/downloads/."
)
# Package: number on the download page, MD5 as people publish it, ending of the files.
_PACKAGES: dict[str, tuple[int, str | None, str]] = {
    "leftImg8bit": (3, "0a6e97e94b616a514066c9e2adb0c97f", "_leftImg8bit.png"),
    "gtFine": (1, "4237c19de34c8a376e9ba46b495d6f66", "_gtFine_labelIds.png"),
    "disparity": (7, "2c8272766993c983321f34c73daada5c", "_disparity.png"),
    "camera": (8, None, "_camera.json"),
}
_COUNTS = {"train": 2975, "val": 500}
# Form of the inverse depth: its unit and the largest value that is drawn.
_FORMS = {"mtan": ("", 0.3), "pixels": ("px", 80.0), "auto_lambda": ("px", 20.0), "metric": ("1/m", 0.2)}


class CityScapes(Dataset):
    """CityScapes: 2975 training and 500 validation images of streets; segmentation and inverse depth.

    Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016. The official test set
    has no public labels, so the validation images are the test split, as everywhere. The files store the disparity
    d = (p - 1) / 256 pixels of the full width of 2048 as 16-bit p; p = 0 is unknown. ``inverse_depth`` chooses what is
    stored: ``mtan`` p / 65535 (the published tables' number, without a unit), ``pixels`` d, ``auto_lambda`` d / 4
    (pixels of a width of 512), ``metric`` d / (f b) in 1/metres with each image's own focal length and baseline.
    Zero disparity (p = 1, infinitely far) has no relative error and counts as unknown, except under ``mtan``, which
    does not tell it apart.
    """

    version: ClassVar[int] = 1

    def __init__(
        self,
        *,
        height: Annotated[int, Field(ge=8, le=1024, description="image height in pixels")] = 128,
        width: Annotated[int, Field(ge=8, le=2048, description="image width in pixels")] = 256,
        classes: Annotated[Literal[2, 7, 19], Field(description="2, 7 or 19 classes")] = 7,
        inverse_depth: Annotated[
            Literal["mtan", "pixels", "auto_lambda", "metric"],
            Field(description="mtan: raw / 65535; pixels: disparity; auto_lambda: disparity / 4; metric: 1/metres"),
        ] = "mtan",
        checksums: Annotated[
            Literal["official", "none"], Field(description="official: complete published packages; none: a sample")
        ] = "official",
        note: Annotated[str, Field(description="what a reader must be told beside every number, e.g. a sample")] = "",
    ) -> None:
        self.size = (height, width)
        self.classes, self.inverse_depth = classes, inverse_depth
        self.checksums, self.note = checksums, note

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """Segmentation and inverse depth."""
        unit, largest = _FORMS[self.inverse_depth]
        names = class_names(self.classes)
        return {
            "segmentation": {"classes": self.classes, "class_names": names},
            "inverse_depth": {"unit": unit, "largest": largest},
        }

    @property
    def published(self) -> str | None:
        """ "cityscapes2", "cityscapes7" or "cityscapes19" for the tables' form: raw / 65535 at 128 x 256.

        Inverse depth in any other unit stands beside nothing.
        """
        form = (self.checksums, self.inverse_depth, self.size)
        return f"cityscapes{self.classes}" if form == ("official", "mtan", (128, 256)) else None

    published_counts = {"train": _COUNTS["train"], "test": _COUNTS["val"]}
    published_batch = 8

    def raw_files(self) -> list[RawFile]:
        """The packages; the cameras are needed for metric inverse depth only."""
        login = Login(f"{_SITE}/login/", "CITYSCAPES_USERNAME", "CITYSCAPES_PASSWORD")
        official = self.checksums == "official"
        return [
            RawFile(
                f"{name}_trainvaltest.zip",
                (f"{_SITE}/file-handling/?packageID={number}",),
                md5=md5 if official else None,
                instructions=_HOW.format(name),
                required=name != "camera" or self.inverse_depth == "metric",
                login=login,
                unpacked=name,
            )
            for name, (number, md5, _) in _PACKAGES.items()
        ]

    def sources(self, raw: Path) -> dict[str, dict[str, Any]]:
        """Digests of the packages that were read, zip files or folders.

        For the cameras also the digest of the members' names and contents, which does not depend on how they are
        packed, because no digest of the package is published: two people can compare theirs.
        """
        found: dict[str, dict[str, Any]] = {}
        for name in self._needed():
            place = packages.find(Path(raw), name)
            if place is not None and place.is_dir():
                found[name] = digest_of_folder(place, f"*{_PACKAGES[name][2]}")
            elif place is not None:
                found[place.name] = {"sha256": digest_of(place), "bytes": place.stat().st_size}
            if place is not None and name == "camera":
                members = list(_recordings(place, name).values())
                found[name if place.is_dir() else place.name]["content_sha256"] = packages.content_digest(
                    place, members
                )
        return found

    def splits(self, raw: Path) -> Mapping[str, Split]:
        """The official training and validation images, after a check that each has all its files."""
        places = self._places(raw.resolve())
        files = {name: _recordings(place, name) for name, place in places.items()}
        images = files["leftImg8bit"]
        for name, found in files.items():
            missing = sorted(set(images) - set(found))
            if missing:
                raise DataError(
                    f"{places[name]}: expected a file *{_PACKAGES[name][2]} for each of the {len(images)} images, "
                    f"{len(missing)} are missing (first {'/'.join(missing[0])})"
                )
        # Of the cameras no digest is published, so their number is what can be checked.
        for name in ("leftImg8bit", "camera"):
            counts = {split: sum(key[0] == split for key in files.get(name, images)) for split in _COUNTS}
            if self.checksums == "official" and counts != _COUNTS:
                what = "images" if name == "leftImg8bit" else "camera files"
                raise DataError(f"{raw}: expected {_COUNTS} {what}, found {counts}; for a sample set checksums: none")
        return {
            "train": self._split(places, files, "train"),
            "test": self._split(places, files, "val"),
        }

    def _needed(self) -> list[str]:
        return [name for name in _PACKAGES if name != "camera" or self.inverse_depth == "metric"]

    def _places(self, raw: Path) -> dict[str, Path]:
        places, missing = {}, []
        for file, name in zip(self.raw_files(), _PACKAGES, strict=True):
            place = packages.find(raw, name) if name in self._needed() else None
            if place is not None:
                places[name] = place
                if place.is_file():
                    check(place, file)
            elif name in self._needed():
                missing.append(f"  {file.name} (or the folder {name} unpacked from it): {file.instructions}")
        if missing:
            raise DataError("\n".join([f"{raw}: raw files are missing:", *missing]))
        return places

    def _split(self, places: dict[str, Path], files: dict[str, dict[tuple[str, str], str]], split: str) -> Split:
        keys = sorted(key for key in files["leftImg8bit"] if key[0] == split)
        chosen = [{name: found[key] for name, found in files.items()} for key in keys]
        # Frames of one drive through a city share its name and sequence number.
        drives = ["_".join(key[1].split("_")[:2]) for key in keys]
        groups = np.unique(drives, return_inverse=True)[1].astype(np.int32)
        return Split(len(keys), _Image(self, places, chosen), groups, [names["leftImg8bit"] for names in chosen])


@dataclass(frozen=True)
class _Image:
    """Reads image i of a split."""

    data: CityScapes
    places: dict[str, Path]
    files: list[dict[str, str]]

    def __call__(self, index: int) -> dict[str, np.ndarray]:
        size = self.data.size
        picture = self._picture(index, "leftImg8bit", np.uint8, 3)
        labels = self._picture(index, "gtFine", np.uint8, 2)
        raw = self._picture(index, "disparity", np.uint16, 2)
        if not picture.shape[:2] == labels.shape == raw.shape:
            shapes = f"{picture.shape[:2]}, {labels.shape}, {raw.shape}"
            raise DataError(f"{self.files[index]['leftImg8bit']}: image, labels and disparity differ in size: {shapes}")
        return {
            "image": np.ascontiguousarray(np.moveaxis(resize_picture(picture, size), -1, 0)),
            "segmentation": self._classes(index, resize_nearest(labels, size)),
            "inverse_depth": self._inverse_depth(index, resize_nearest(raw, size))[None].astype(np.float16),
        }

    def _picture(self, index: int, package: str, dtype: type, dimensions: int) -> np.ndarray:
        name = self.files[index][package]
        array = read_picture(packages.read(self.places[package], name), f"{self.places[package]}: member {name!r}")
        if dtype is np.uint16 and array.dtype == np.int32 and array.min() >= 0 and array.max() < 65536:
            array = array.astype(np.uint16)
        if array.dtype != dtype or array.ndim != dimensions:
            raise DataError(
                f"{self.places[package]}: {name}: expected a picture of {np.dtype(dtype).itemsize * 8} bits with "
                f"{dimensions} axes, found {array.dtype} {array.shape}"
            )
        return array

    def _classes(self, index: int, ids: np.ndarray) -> np.ndarray:
        lookup = label_lookup(self.data.classes)
        if ids.max() >= len(lookup):
            name = self.files[index]["gtFine"]
            raise DataError(
                f"{name}: expected label ids 0..{len(lookup) - 1}, found {int(ids.max())}: not *_labelIds.png?"
            )
        return lookup[ids]

    def _inverse_depth(self, index: int, raw: np.ndarray) -> np.ndarray:
        form = self.data.inverse_depth
        if form == "mtan":
            return raw.astype(np.float64) / 65535
        disparity = np.maximum(raw.astype(np.float64) - 1, 0) / 256
        if form == "pixels":
            return disparity
        return disparity / 4 if form == "auto_lambda" else disparity / self._focal_length_times_baseline(index)

    def _focal_length_times_baseline(self, index: int) -> float:
        name = self.files[index]["camera"]
        try:
            camera = json.loads(packages.read(self.places["camera"], name))
            product = float(camera["intrinsic"]["fx"]) * float(camera["extrinsic"]["baseline"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise DataError(
                f"{name}: expected intrinsic.fx and extrinsic.baseline, found neither ({error!r})"
            ) from None
        if not 50 < product < 5000:  # pixels times metres: 2262 x 0.21 in the published files
            raise DataError(f"{name}: expected a baseline in metres and fx in pixels, found the product {product:g}")
        return product


def _recordings(place: Path, package: str) -> dict[tuple[str, str], str]:
    """{(split, recording): name in the package} of the training and validation files."""
    ending = re.escape(_PACKAGES[package][2])
    pattern = re.compile(rf"{package}/(train|val)/[^/]+/([^/]+_\d+_\d+){ending}")
    found = {}
    for name in packages.names(place):
        match = pattern.fullmatch(name)
        if match:
            found[match[1], match[2]] = name
    if not found:
        raise DataError(f"{place}: expected files {package}/train/<city>/*{_PACKAGES[package][2]}, found none")
    return found
