"""The metrics of the best constant prediction, below which no network is worth its training."""

from mtlbench.plan import places
from mtlbench.plan.grid import PreparedDataset
from mtlbench.runs.manifest import Manifest
from mtlbench.system.files import read_json, write_json


def constant_baseline(data: PreparedDataset, tasks: list[str]) -> dict[str, dict[str, float]]:
    """{task: {metric: value}} of the best constant prediction, computed once for each prepared dataset."""
    cache = places.WORK / "constant" / f"{data.key}.json"
    if cache.exists() and set(tasks) <= set(read_json(cache)):
        return {task: read_json(cache)[task] for task in tasks}
    import torch

    from mtlbench.tasks import make_tasks
    from mtlbench.training.arrays import PreparedArrays
    from mtlbench.training.data import Split
    from mtlbench.training.evaluate import constant_baseline as compute
    from mtlbench.training.history import without_nan

    cpu = torch.device("cpu")
    manifest = Manifest.read(data.manifest)
    made = make_tasks({task: manifest.facts["tasks"][task] for task in tasks})
    train, test = (Split(PreparedArrays(data.folder, manifest), split, tasks, cpu) for split in ("train", "test"))
    found = without_nan(compute(made, train, test))
    write_json(cache, found)
    return found
