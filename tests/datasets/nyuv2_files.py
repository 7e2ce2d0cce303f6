"""Small files with the official NYU Depth V2 layout, with pictures whose orientation can be told."""

from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
import scipy.io

from mtlbench.datasets._nyuv2_file import class_table
from mtlbench.datasets.geometry.camera import NYUV2_CAMERA
from mtlbench.datasets.scenes.draw import Draw
from mtlbench.datasets.scenes.render import photograph, render
from mtlbench.datasets.scenes.room import furnish

FRAME = (slice(6, -6), slice(6, -8))


def rooms_as_nyuv2(count: int, first: int = 0) -> dict[str, np.ndarray]:
    """images (N, 480, 640, 3), depths and rawDepths (N, 480, 640), labels (N, 480, 640) of rendered rooms.

    The pictures get the white frame of the undistorted originals; rawDepths has holes.
    """
    # An id of each of the 13 classes: the first one in the table.
    ids = [next(int(row["id"]) for row in class_table() if int(row["class13"]) == c) for c in range(1, 14)]
    images, depths, raw, labels = [], [], [], []
    for number in range(first, first + count):
        draw = Draw(31, number)
        view = render(furnish(draw), NYUV2_CAMERA, 480, 640)
        picture = np.full((480, 640, 3), 255, np.uint8)
        picture[FRAME] = np.minimum(np.moveaxis(photograph(view.radiance, draw, 2.0), 0, -1), 220)[FRAME]
        label = np.zeros((480, 640), np.uint16)
        label[8:-6, 9:-7] = np.array(ids, np.uint16)[view.label][8:-6, 9:-7]
        depth = view.depth.astype(np.float32)
        images.append(picture)
        labels.append(label)
        depths.append(depth)
        raw.append(np.where((np.indices(depth.shape).sum(0) // 40) % 5 == 0, 0, depth).astype(np.float32))
    return {
        "images": np.stack(images),
        "depths": np.stack(depths),
        "rawDepths": np.stack(raw),
        "labels": np.stack(labels),
    }


def write(
    folder: Path,
    fields: Mapping[str, np.ndarray],
    train: list[int],
    test: list[int],
    scenes: list[str] | None = None,
    names: Callable[[int], str] | None = None,
) -> None:
    """Write the two official files; arrays are given with rows first and stored as MATLAB does."""
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        for name, array in fields.items():
            axes = (0, 3, 2, 1) if array.ndim == 4 else (0, 2, 1)
            file.create_dataset(name, data=array.transpose(axes), chunks=(1, *array.transpose(axes).shape[1:]),
                                compression="gzip", compression_opts=1)  # fmt: skip
        for name, words in (("scenes", scenes), ("names", names and [names(i) for i in range(894)])):
            if words:
                cell = file.create_dataset(name, (1, len(words)), h5py.ref_dtype)
                for number, word in enumerate(words):
                    text = file.create_dataset(f"#refs#/{name}{number}", data=np.array([[ord(c)] for c in word], "<u2"))
                    cell[0, number] = text.ref
    scipy.io.savemat(
        folder / "splits.mat",
        {"trainNdxs": np.array(train, np.uint16)[:, None], "testNdxs": np.array(test, np.uint16)[:, None]},
    )
