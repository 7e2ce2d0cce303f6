"""The trainer of a cell: network, weighting, data and settings put together from its spec."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mtlbench.models import LastFeatures, Model
from mtlbench.models._cost import forward_flops, parameter_count
from mtlbench.plan import task_options
from mtlbench.plan.grid import Cell
from mtlbench.plan.params import Protocol, Runtime, Training
from mtlbench.plan.recipe import ChosenEntry
from mtlbench.plan.registry import entry
from mtlbench.runs import code
from mtlbench.runs.dataset import DatasetFacts
from mtlbench.runs.manifest import Manifest
from mtlbench.system.errors import DataError, ParamsError
from mtlbench.tasks import Task, make_tasks
from mtlbench.training import device as devices
from mtlbench.training.arrays import PreparedArrays
from mtlbench.training.constant import constant_baseline
from mtlbench.training.data import Split
from mtlbench.training.domains import batches_of, domains_of
from mtlbench.training.processes.ranks import ALONE, Ranks
from mtlbench.training.reference import reference
from mtlbench.training.seeds import derive
from mtlbench.training.start import start
from mtlbench.training.targets import Targets
from mtlbench.training.trainer import Data, Identity, Trainer
from mtlbench.weightings import Weighting


def make_trainer(cell: Cell, runtime: Runtime, work: Path, ranks: Ranks = ALONE) -> tuple[Trainer, dict[str, Any]]:
    """The trainer of a cell at its start, and facts about its data for the manifest."""
    manifest = _dataset_manifest(cell)
    devices.make_deterministic(runtime.threads)
    recipe = cell.recipe
    training, protocol = recipe.training, recipe.protocol
    devices.set_precision(training.precision)
    device = devices.choose(runtime.device)
    if runtime.compile:
        devices.check_compiler(device)
    given = task_options.arguments(manifest.facts["tasks"], cell.tasks, recipe.task_options)
    tasks = make_tasks(given)
    torch.manual_seed(derive(cell.seed, "weights"))
    model = build_model(recipe.model, tasks, tuple(manifest.facts["size"]))
    started = start(model, cell)
    torch.manual_seed(derive(cell.seed, "weighting"))
    weighting: Weighting = entry("weightings", recipe.weighting.kind).load()(list(tasks), **recipe.weighting.options)
    if weighting.reads_features:
        weighting.attach(LastFeatures(model))
    prepared = PreparedArrays(cell.dataset.folder, manifest)
    data = load_data(prepared, tasks, protocol, weighting, device, runtime.data)
    _check_batches(model, tasks, data, training)
    trainer = Trainer(
        model, weighting, tasks, data, training, protocol, cell.seed, device, work,
        Identity(cell.key, cell.path, prepared.digests, code.of_training(recipe)),
        checkpoint_seconds=runtime.checkpoint_seconds, compile=runtime.compile, ranks=ranks,
        reference=reference(cell, {name: task.metrics for name, task in tasks.items()}),
    )  # fmt: skip
    changed = {name: tasks[name] for name in recipe.task_options}
    own = {"tasks": given, "constant": constant_baseline(manifest, changed)}
    tested = len(_labelled(tasks, data.test_split))  # of domains, those of the run's tasks
    images = {**data.counts, "test": tested}
    return trainer, {
        "data": prepared.digests,
        "data_code": {"kind": cell.dataset.kind, "files": manifest.facts.get("code", {})},
        "dataset": DatasetFacts.of(cell.dataset, manifest, images, own).model_dump(),
        "parameters": parameter_count(model),
        **_flops(model, tuple(manifest.facts["size"]), [domain.tasks for domain in trainer.domains]),
        **({"started_from": started} if started else {}),
        "compiled": runtime.compile,
        "processes": training.processes,
    }


def _flops(model: Model, size: tuple[int, int], domains: Sequence[tuple[str, ...]]) -> dict[str, int]:
    """Of a forward pass that predicts; and of one in training, where that computes auxiliary predictions too.

    Of several domains: of an image of each, as single-task networks together take them.
    """
    if len(domains) > 1:
        return {"flops": sum(forward_flops(model, size, only=tasks) for tasks in domains)}
    found = {"flops": forward_flops(model, size)}
    return found | ({"training_flops": forward_flops(model, size, auxiliary=True)} if model.auxiliary else {})


def build_model(chosen: ChosenEntry, tasks: Mapping[str, Task], size: tuple[int, int]) -> Model:
    """The network of a recipe for these tasks; raises ParamsError when it cannot take images of ``size``."""
    kind = entry("models", chosen.kind).load()
    kind.check_size(*size)
    return kind({name: task.channels for name, task in tasks.items()}, **chosen.options)


def _check_batches(model: Model, tasks: Mapping[str, Task], data: Data, training: Training) -> None:
    domains = domains_of(tasks, data.train_split, data.train)
    smallest = min(len(part) for part in batches_of(domains, training.batch_size, training.drop_last))
    if smallest < model.smallest_batch:
        raise ParamsError(
            f"{type(model).__name__} trains on batches of at least {model.smallest_batch} images, but "
            f"{len(data.train)} training images in batches of {training.batch_size} leave one of {smallest}. "
            "Set training.drop_last: true or another training.batch_size."
        )


def load_data(
    prepared: PreparedArrays,
    tasks: Mapping[str, Task],
    protocol: Protocol,
    weighting: Weighting,
    device: torch.device,
    place: str,
) -> Data:
    """Both splits on the device, and which training images are held out.

    ``protocol.share`` holds images out from every row; without it a weighting that wants some takes a share of its own.
    """
    targets = Targets(prepared, tasks)
    train = Split(targets, "train", list(tasks), device, place)
    test = Split(targets, "test", list(tasks), device, place)
    share = protocol.share
    if share is None and weighting.wants_held_out:
        share = weighting.held_out_share
    if share is None:
        return Data(train, test, _labelled(tasks, train), torch.empty(0, dtype=torch.int64))
    from mtlbench.datasets.prepared.held_out import held_out_indices

    kept, held_out = held_out_indices(train.count, train.groups, share, seed=0)
    labelled = _labelled(tasks, train)
    own = [part[torch.isin(part, labelled)] for part in (torch.as_tensor(kept), torch.as_tensor(held_out))]
    return Data(train, test, *own)


def _labelled(tasks: Mapping[str, Task], split: Split) -> Tensor:
    """The images that one of the tasks looks at: all of them, unless other domains are left out."""
    domains = domains_of(tasks, split, torch.arange(split.count))
    return torch.cat([domain.indices for domain in domains]).unique()


def _dataset_manifest(cell: Cell) -> Manifest:
    if not cell.dataset.manifest.exists():
        raise DataError(
            f"{cell.path}: the dataset '{cell.dataset.name}' is not prepared for these settings "
            f"({cell.dataset.manifest} is absent). Run `mtlbench prepare {cell.dataset.name}`, or let Snakemake do it."
        )
    return Manifest.read(cell.dataset.manifest)
