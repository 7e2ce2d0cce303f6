"""Whether NYU Depth V2's pictures and maps stand as the camera saw them: not mirrored, not upside down.

MATLAB's axes must be transposed. Rotating them instead mirrors the picture, which no shape shows.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mtlbench.datasets import _nyuv2_file as nyu
from mtlbench.system.errors import DataError

#: Most images that are looked at.
_SAMPLE = 16
_FLIPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it is": lambda a: a,
    "mirrored": lambda a: a[:, ::-1],
    "upside down": lambda a: a[::-1],
    "turned by 180 degrees": lambda a: a[::-1, ::-1],
}
#: Brightness above which the undistorted pictures' empty frame is white. It is 6 pixels wide on the left, 8 right.
_WHITE = 230


def check_orientation(path: Path, indices: np.ndarray) -> None:
    """Raise DataError when pictures and maps do not fit each other, or all of them are turned over.

    Edges of picture, labels and depth must coincide better as they are than after any flip; the white frame of the
    pictures must be wider on the right; floors must lie below ceilings.
    """
    chosen = indices[np.unique(np.linspace(0, len(indices) - 1, min(_SAMPLE, len(indices))).round().astype(int))]
    scores: dict[str, np.ndarray] = {"labels": np.zeros(4), "depths": np.zeros(4)}
    frames, rows = [], {"floor": [0.0, 0], "ceiling": [0.0, 0]}
    lookup, names = nyu.label_lookup(13), nyu.class_names(13)
    for index in chosen:
        picture = nyu.read(path, "images", int(index))
        labels = nyu.read(path, "labels", int(index))
        depth = nyu.read(path, "depths", int(index))
        # Every second pixel is enough, and four times as fast.
        edges = _edges(picture[::2, ::2].mean(2), 30.0)
        maps = {
            "labels": _edges(labels[::2, ::2].astype(np.float64), 1.0),
            "depths": _edges(np.log(np.maximum(depth[::2, ::2], 0.1)), 0.1),
        }
        for field, other in maps.items():
            scores[field] += [_correlation(edges, flip(other)) for flip in _FLIPS.values()]
        frames.append(_frame(picture))
        classes = lookup[np.minimum(labels, 894)]
        for name, entry in rows.items():
            where = np.nonzero(classes == names.index(name))[0]
            entry[0] += float(where.sum())
            entry[1] += len(where)
    for field, score in scores.items():
        # Blank maps correlate with nothing; a real mismatch shows a clear winner among the flips.
        if score.max() > max(0.05 * len(chosen), 2 * score[0]):
            how = list(_FLIPS)[int(score.argmax())]
            raise DataError(
                f"{path}: images and {field} do not fit: {field} match the pictures when {how}. Transpose MATLAB's "
                "axes instead of rotating them, or use the official file"
            )
    _check_whole(path, frames, rows)


def _check_whole(path: Path, frames: list[tuple[int, int]], rows: dict[str, list[Any]]) -> None:
    if all(count for _, count in rows.values()):
        floor, ceiling = (total / count for total, count in rows.values())
        if floor < ceiling:
            raise DataError(f"{path}: floors lie at row {floor:.0f} and ceilings at {ceiling:.0f}: all is upside down")
    # A bright window at the picture's border looks like a wider frame.
    framed = [(left, right) for left, right in frames if 0 < left < 12 and 0 < right < 12]
    if framed:
        left, right = np.median(framed, axis=0)
        if left > right:
            raise DataError(
                f"{path}: the pictures' white frame is {left:g} pixels wide on the left and {right:g} on the right, "
                "expected 6 and 8: all is mirrored. Transpose MATLAB's axes instead of rotating them"
            )


def _edges(map_: np.ndarray, most: float) -> np.ndarray:
    """Edge strength (rows, columns) without the frame, limited so that a few strong edges do not decide."""
    down, right = np.gradient(map_)
    return np.minimum(np.hypot(down, right), most)[12:-12, 12:-12]


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    a, b = one - one.mean(), other - other.mean()
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / scale) if scale > 0 else 0.0


def _frame(picture: np.ndarray) -> tuple[int, int]:
    """Widths of the white frame on the left and on the right."""
    white = (picture.min(2) > _WHITE).mean(0) > 0.5
    return int(np.cumprod(white).sum()), int(np.cumprod(white[::-1]).sum())
