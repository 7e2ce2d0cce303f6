"""A validation split of the training images that never cuts a scene in two."""

import hashlib

import numpy as np

from mtlbench.system.errors import DataError


def held_out_indices(count: int, groups: np.ndarray | None, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(training indices, held-out indices), both sorted, int64; the same for the same arguments everywhere.

    ``groups`` (count,) are scene numbers, or None when every image is a scene of its own. Whole scenes are drawn at
    random until ``share`` of the images is reached as closely as the last scene allows; both sides get at least one
    scene. Raises DataError when there is a single scene.
    """
    groups = np.arange(count) if groups is None else np.asarray(groups)
    scenes, sizes = np.unique(groups, return_counts=True)
    if len(scenes) < 2:
        raise DataError(f"held-out split: expected at least two scenes in the training images, found {len(scenes)}")
    # By digest and not by numpy's generator, whose stream may change between versions.
    order = np.argsort([hashlib.sha256(f"held_out:{seed}:{scene}".encode()).hexdigest() for scene in scenes])
    reached = np.cumsum(sizes[order])
    nearest = int(np.argmin(np.abs(reached - share * count)))
    chosen = scenes[order[: min(nearest, len(scenes) - 2) + 1]]
    held_out = np.isin(groups, chosen)
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
