"""A folder of one's own images with labels, depth and normals, any of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from mtlbench.datasets import Dataset, Split
from mtlbench.datasets import _folders_files as files
from mtlbench.datasets import _folders_maps as read
from mtlbench.datasets.geometry.resize import resize_nearest, resize_picture
from mtlbench.datasets.raw.files import RawFile, digest_of, digest_of_folder
from mtlbench.datasets.raw.photos import read_rgb
from mtlbench.system.errors import DataError, ParamsError

_IMAGES = "images"
#: {task: the folder with its files}.
_FOLDERS = {"segmentation": "labels", "depth": "depth", "normals": "normals"}
#: {split: file with the names of its images}; without them the split is made here.
_LISTS = {"train": "train.txt", "test": "test.txt"}
_HOW = "a folder of your own: set `source` to the folder that holds it (docs/own_data.md)"


class Folders(Dataset):
    """A folder with images/ and, for each task wanted, labels/, depth/ or normals/: files of the same names.

    Images have any size, mode and common format. ``classes`` asks for segmentation, ``depth`` for depth, ``normals``
    for normals. The split is that of train.txt and test.txt, or is made here. All that cannot be used is named with its
    file. Labels and depth are read from PNG files (depth also from .npy), normals from PNG or .npy files.
    """

    version: ClassVar[int] = 1

    def __init__(
        self,
        *,
        height: Annotated[int, Field(ge=8, le=4096, description="height to which images are resized, in pixels")],
        width: Annotated[int, Field(ge=8, le=4096, description="width to which images are resized, in pixels")],
        classes: Annotated[
            dict[str, Annotated[int, Field(ge=0, le=65535)]] | None,
            Field(description="{name: value of its pixels in labels/}, indexed by value; null: no segmentation"),
        ] = None,
        void: Annotated[
            list[Annotated[int, Field(ge=0, le=65535)]], Field(description="values in labels/ that are no class")
        ] = [255],  # noqa: B006
        depth: Annotated[
            float | None,
            Field(gt=0, description="metres of one step of the values in depth/ (0.001: millimetres); null: no depth"),
        ] = None,
        normals: Annotated[
            Literal["camera", "opengl"] | None,
            Field(
                description="axes in normals/: camera (x right, y down, z forward) or opengl (x right, y up, z back)"
            ),
        ] = None,
        scene: Annotated[
            str,
            Field(max_length=8, description="an image's scene is its name before the last of these; '': own scenes"),
        ] = "",
        test_share: Annotated[
            float, Field(gt=0, lt=1, description="share of the images for testing where there is no test.txt")
        ] = 0.2,
        seed: Annotated[int, Field(ge=0, description="number from which that split is drawn")] = 0,
        note: Annotated[str, Field(description="what a reader must be told beside every number")] = "",
    ) -> None:
        if classes is None and depth is None and normals is None:
            raise ParamsError("folders: expected a task: set 'classes', 'depth' or 'normals', or several of them")
        self.size = (height, width)
        # By value: the order in which they are written is no part of the key.
        self.classes, self.void = dict(sorted((classes or {}).items(), key=lambda pair: pair[1])), list(void)
        if classes is not None:
            read.check_classes(classes, void)
        self.depth, self.normals = depth, normals
        self.scene, self.test_share, self.seed, self.note = scene, test_share, seed, note

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """Those that the options ask for, in the order segmentation, depth, normals."""
        names = list(self.classes)
        wanted = {"segmentation": bool(names), "depth": self.depth is not None, "normals": self.normals is not None}
        options = {"segmentation": {"classes": len(names), "class_names": names}}
        return {task: options.get(task, {}) for task, is_wanted in wanted.items() if is_wanted}

    def raw_files(self) -> list[RawFile]:
        """The folders, and the two lists of a split that need not be there."""
        needed = [_IMAGES, *(_FOLDERS[task] for task in self.tasks)]
        return [RawFile(name, instructions=_HOW) for name in needed] + [
            RawFile(name, instructions=_HOW, required=False) for name in _LISTS.values()
        ]

    def sources(self, raw: Path) -> dict[str, dict[str, Any]]:
        """One digest for each folder, and those of the lists."""
        found: dict[str, dict[str, Any]] = {}
        for path in (Path(raw) / file.name for file in self.raw_files()):
            if path.is_dir():
                found[path.name] = digest_of_folder(path, "*")
            elif path.is_file():
                found[path.name] = {"sha256": digest_of(path), "bytes": path.stat().st_size}
        return found

    def splits(self, raw: Path) -> Mapping[str, Split]:
        """Both splits, after a check that every image has all its files and no file is left over."""
        raw = Path(raw).resolve()
        found = files.find(raw, _IMAGES, {task: _FOLDERS[task] for task in self.tasks})
        scenes = {name: files.scene_of(name, self.scene) for name in found}
        chosen, left = files.listed(raw, _LISTS, found)
        if not chosen:
            chosen = files.drawn(scenes, self.test_share, self.seed)
        numbers = {scene: number for number, scene in enumerate(sorted(set(scenes.values())))}
        remarks = files.remarks_of(chosen, scenes, left)
        return {
            split: Split(
                len(names),
                _Image(self, raw, [found[name] for name in names]),
                np.array([numbers[scenes[name]] for name in names], np.int32) if self.scene else None,
                [found[name]["image"] for name in names],
                remarks,
            )
            for split, names in chosen.items()
        }


@dataclass(frozen=True)
class _Image:
    """Reads, checks and resizes image i of a split; ``rows`` has {"image" or task: file below ``raw``} for each."""

    data: Folders
    raw: Path
    rows: list[dict[str, str]]

    def __call__(self, index: int) -> dict[str, Any]:
        row = self.rows[index]
        picture = read_rgb(self.raw / row["image"])
        result: dict[str, Any] = {
            "image": np.ascontiguousarray(np.moveaxis(resize_picture(picture, self.data.size), -1, 0))
        }
        problems: list[str] = []
        remarks: dict[str, int] = {}
        for task in self.data.tasks:
            result[task] = self._map(task, row, picture.shape[:2], problems, remarks)
        if problems:
            raise DataError("; ".join(problems))
        return result | {"remarks": remarks}

    def _map(
        self, task: str, row: dict[str, str], shape: tuple[int, ...], problems: list[str], remarks: dict[str, int]
    ) -> np.ndarray | None:
        """The map of one task at the prepared size; None where something is wrong with it."""
        file, found = row[task], None
        here: list[str] = []
        try:
            if task == "segmentation":
                found = read.labels(self.raw / file, self.data.classes, self.data.void, here)
            elif task == "depth":
                found = read.depth(self.raw / file, float(self.data.depth or 0), here)
            else:
                found = read.normals(self.raw / file, str(self.data.normals), here, remarks)
        except DataError as error:
            here.append(str(error).removeprefix(f"{self.raw / file}: "))
        if found is not None and found.shape[-2:] != shape:
            height, width = found.shape[-2:]
            here.append(f"{width}x{height} pixels, but {row['image']} has {shape[1]}x{shape[0]}")
        problems += [f"{file}: {text}" for text in here]
        if found is None or here:
            return None
        small = resize_nearest(found, self.data.size)
        if not (small >= 0 if task == "segmentation" else small != 0).any():
            remarks[f"{file} has no valid pixel"] = small.shape[-2] * small.shape[-1]
        return small
