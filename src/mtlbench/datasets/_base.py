"""What a dataset is: raw files that are checked, and arrays that are prepared from them once.

Prepared layout, in ``data/prepared/<name>/``:

    train/image.npy            (N, 3, H, W) uint8 RGB
    train/<task>.npy           (N, C, H, W) or (N, H, W), as the task's ``maps`` say (maps.py):
        segmentation           (N, H, W)    int8, -1 = void
        depth                  (N, 1, H, W) float16 metres, 0 = invalid
        inverse_depth          (N, 1, H, W) float16 (unit stated by the dataset), 0 = invalid
        classification         (N,)         int16 class of the image, -1 = an image of another domain
        normals                (N, 3, H, W) float16 unit vectors (x right, y down, z forward; towards the camera, so
                               n_z < 0 on what faces it), (0, 0, 0) = invalid
    train/group.npy            (N,) int32, optional: scene numbers, so that a held-out split never cuts a scene
    test/...                   the same
    images.csv                 the raw image and the scene of each prepared one
    contact_sheet.png          some images of both splits with all their maps
    manifest.<key>.json        written last: counts, shapes, ranges, class shares, invalid shares, digests
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mtlbench.datasets.raw.files import RawFile, digest_of


@dataclass(frozen=True)
class Split:
    """The images of one split and how to make one of them.

    ``load(i)`` returns {array name: array of one image} in the prepared types and must be safe to call from
    several processes (it is pickled), so that a split can be prepared in parallel. It raises DataError for an image
    that cannot be used; what it mended is told under the extra key "remarks": {remark: number of pixels}, and ends
    up in the manifest. ``names`` says for each image which raw one it is made from, as a person would look it up: an
    official number, a file; empty where nothing is known. ``remarks`` are sentences about the split as a whole that a
    reader must know.
    """

    count: int
    load: Callable[[int], Mapping[str, Any]]
    groups: np.ndarray | None = None
    names: Sequence[str] = ()
    remarks: tuple[str, ...] = ()


class Dataset(ABC):
    """One dataset; the constructor's keyword-only arguments are the keys under ``datasets:`` in params.yaml."""

    #: Bumped by hand when code is meant to change the prepared arrays.
    version: ClassVar[int]
    #: What a reader must be told beside every number ("rebuilt data"), or "".
    note: str = ""

    #: Image size (height, width) of the prepared arrays.
    size: tuple[int, int]
    #: True when each task has images of its own (a domain); the labels of all other images are -1.
    domains: bool = False
    #: Scenes of the training images where the options tell them, None where only the prepared data does.
    train_scenes: int | None = None

    @property
    @abstractmethod
    def tasks(self) -> dict[str, dict[str, Any]]:
        """{task name: arguments of the task's constructor}, the tasks that the arrays hold."""

    @property
    def published(self) -> str | None:
        """The published table (report/evidence) beside whose rows results on this dataset may stand, or None.

        It follows from the class and its options alone, never from a label in params.yaml: None for a sample,
        rebuilt data, another image size, other units, and generated images.
        """
        return None

    #: {split: images} of the whole dataset; with fewer, results stand beside nothing. None: nothing to compare.
    published_counts: Mapping[str, int] | None = None
    #: Images in a test batch of the published codes, whose metrics are averages over such batches.
    published_batch: int = 2

    def published_for(self, counts: Mapping[str, int]) -> str | None:
        """``published`` when the prepared splits hold all images (``counts``: {split: images}), else None."""
        whole = self.published_counts
        return self.published if whole is None or all(counts.get(s) == n for s, n in whole.items()) else None

    @abstractmethod
    def raw_files(self) -> list[RawFile]:
        """The raw files needed; empty for generated data."""

    def packages(self) -> dict[str, str]:
        """{file of an installed package that is read: its SHA-256}; enters the key, so other bytes are other data."""
        return {}

    def sources(self, raw: Path) -> dict[str, dict[str, Any]]:
        """{raw file: its SHA-256 and size} of the files that were read, for the manifest."""
        present = [Path(raw) / file.name for file in self.raw_files() if (Path(raw) / file.name).is_file()]
        return {path.name: {"sha256": digest_of(path), "bytes": path.stat().st_size} for path in present}

    @abstractmethod
    def splits(self, raw: Path) -> Mapping[str, Split]:
        """{"train": ..., "test": ...} from the folder of raw files; checks them and raises DataError."""
