"""The metrics of the best constant prediction, below which no network is worth its training."""

import torch

from mtlbench.runs.manifest import Manifest
from mtlbench.tasks import make_tasks
from mtlbench.training.arrays import PreparedArrays
from mtlbench.training.data import Split
from mtlbench.training.evaluate import constant_baseline as compute
from mtlbench.training.history import without_nan


def constant_baseline(prepared: Manifest) -> dict[str, dict[str, float | None]]:
    """{task: {metric: value}} of the best constant prediction of every task, on prepared data with this manifest."""
    tasks = make_tasks(prepared.facts["tasks"])
    arrays = PreparedArrays(prepared.path.parent, prepared)
    train, test = (Split(arrays, split, list(tasks), torch.device("cpu")) for split in ("train", "test"))
    return without_nan(compute(tasks, train, test))
