"""How far the metrics of one network would move with other test images: for its card."""

import zipfile

import numpy as np

from mtlbench.runs.manifest import Manifest
from mtlbench.tasks import Task

_FILE = "per_image.npz"
Intervals = dict[str, dict[str, tuple[float, float]]]


def image_intervals(
    manifest: Manifest, tasks: dict[str, Task], reported: dict[str, dict[str, float | None]]
) -> Intervals:
    """{task: {metric: (low, high)}}: 95 % intervals of the ``reported`` metrics over test images, as in the report.

    Whole scenes of the cell's per-image statistics are drawn again; other seeds are not in it. {} where the statistics
    are absent or not those of the manifest, or with fewer than two scenes.
    """
    path = manifest.path.parent / _FILE
    output = manifest.outputs.get(_FILE)
    if output is None or output.problem(path) is not None:
        return {}
    try:
        with np.load(path) as file:
            return _intervals(dict(file), tasks, reported)
    except (ModuleNotFoundError, OSError, ValueError, zipfile.BadZipFile):  # a small installation has no SciPy
        return {}


def _intervals(
    arrays: dict[str, np.ndarray], tasks: dict[str, Task], reported: dict[str, dict[str, float | None]]
) -> Intervals:
    from mtlbench.report.evidence.statistics import image_weights, interval, resampled_metrics

    images = len(next(iter(arrays.values())))
    scenes = arrays.get("scene", np.arange(images))
    count = len(np.unique(scenes))
    found: Intervals = {}
    if count < 2:
        return found
    weights = image_weights(scenes)
    for name, task in tasks.items():
        statistics = {key.partition("/")[2]: value for key, value in arrays.items() if key.startswith(f"{name}/")}
        for metric, draws in resampled_metrics(task, statistics, weights).items():
            value = reported[name].get(metric)
            if value is not None and np.isfinite(draws).all():
                low, high = interval(value, float(draws.var()) * count / (count - 1), count - 1)
                found.setdefault(name, {})[metric] = (low, high)
    return found
