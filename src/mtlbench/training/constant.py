"""The metrics of the best constant prediction, below which no network is worth its training."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from mtlbench.runs.manifest import Manifest
from mtlbench.tasks import Task, make_tasks
from mtlbench.training.arrays import PreparedArrays
from mtlbench.training.data import decode
from mtlbench.training.evaluate import BATCH
from mtlbench.training.history import without_nan
from mtlbench.training.targets import Targets


@torch.no_grad()
def constant_baseline(
    prepared: Manifest, tasks: Mapping[str, Task] | None = None
) -> dict[str, dict[str, float | None]]:
    """{task: {metric: value}} on the test images of the best constant prediction learnt from the training images.

    For these tasks, or every task of prepared data with this manifest. Targets are read some images at a time and
    pictures not at all, so memory does not grow with the number of images.
    """
    tasks = make_tasks(prepared.facts["tasks"]) if tasks is None else tasks
    arrays = Targets(PreparedArrays(prepared.path.parent, prepared), tasks)
    found = {}
    for name, task in tasks.items():
        seen: dict[str, np.ndarray] = {}
        for target in _targets(arrays, "train", name):
            _add(seen, task.target_statistics(target))
        constant = task.constant_prediction(seen)
        total: dict[str, np.ndarray] = {}
        for target in _targets(arrays, "test", name):
            _add(total, task.statistics(constant.expand(task.output_shape(target)), target))
        found[name] = task.reduce(total)
    return without_nan(found)


def _targets(arrays: Targets, split: str, name: str) -> Iterator[Tensor]:
    return (decode(name, torch.from_numpy(part)) for part in arrays.parts(split, name, BATCH))


def _add(total: dict[str, np.ndarray], statistics: Mapping[str, Tensor]) -> None:
    for name, values in statistics.items():
        total[name] = total.get(name, 0) + values.sum(0).numpy()
