"""`mtlbench export-predictions`: test predictions for the evaluation server of the Visual Decathlon."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from mtlbench.datasets import Split
from mtlbench.datasets._decathlon_annotations import DOMAINS, Annotations
from mtlbench.datasets.decathlon import Decathlon
from mtlbench.inference.load import load
from mtlbench.inference.network import Network
from mtlbench.models import Classifier
from mtlbench.plan.params import Params
from mtlbench.plan.prepared import PreparedDataset, dataset, raw_folder
from mtlbench.system.console import progress_bar
from mtlbench.system.errors import DataError, ParamsError
from mtlbench.system.files import write_text


def export_predictions(
    params: Params, name: str, sources: Sequence[str], out: Path, say: Callable[[str], None], device: str, size: int
) -> None:
    """Write a COCO-style list of {"image_id", "category_id"}, one for each test image of the networks' domains.

    ``sources`` are trained networks (``inference.find``), of all domains or of some each; ``name`` is the data set that
    they were trained on, ``size`` the images in a batch. Ids are those of the annotations, in their order. Raises
    ParamsError for data without a challenge and batches below 1, DataError for networks of other data or of a domain
    twice, and for annotations whose classes are not the network's.
    """
    data = dataset(params, name)
    if data.kind != "decathlon":
        raise ParamsError(f"--dataset: expected a data set of the kind decathlon, found '{name}' of kind '{data.kind}'")
    if size < 1:
        raise ParamsError(f"--batch-size: expected at least 1 image, found {size}")
    given: dict[str, str] = {}
    found: list[dict[str, int]] = []
    for source in sources:
        network = load(source, device)
        _check_network(network, source, data)
        for task in network.tasks:
            if task in given:
                raise DataError(f"{source}: expected one network for each domain, '{task}' has {given[task]} already")
            given[task] = source
            found += _answers(network, source, task, data, size)
    write_text(out, json.dumps(found, separators=(",", ":")) + "\n")
    say(f"{out}: {len(found)} test images of {', '.join(given)}")
    if missing := [task for task in DOMAINS if task not in given]:
        say(f"The challenge's score needs all ten domains; this file has none of {', '.join(missing)}.")


def _check_network(network: Network, source: str, data: PreparedDataset) -> None:
    trained = network.description.dataset
    if trained["key"] != data.key:
        raise DataError(
            f"{source}: expected a network that was trained on '{data.name}' of params.yaml (key {data.key}), found "
            f"one of '{trained['kind']}' with the key {trained['key']}. Name its data set with --dataset."
        )


def _answers(network: Network, source: str, task: str, data: PreparedDataset, size: int) -> Iterator[dict[str, int]]:
    """The predictions of a domain's test images."""
    made: Decathlon = data.build()
    annotations, images = made.unlabelled(raw_folder(data), task)
    _check_classes(network, source, task, annotations)
    with progress_bar(task) as show:
        for start in range(0, images.count, size):
            numbers = range(start, min(start + size, images.count))
            for number, label in zip(numbers, _labels(network, task, images, numbers), strict=True):
                yield {"image_id": annotations.ids[number], "category_id": DOMAINS[task].first + 1 + label}
            show(numbers.stop, images.count, task)


def _check_classes(network: Network, source: str, task: str, annotations: Annotations) -> None:
    learned = list(network.description.tasks[task].options["class_names"])
    if learned != list(annotations.classes):
        raise DataError(
            f"{source}: the classes of '{task}' that the network learned are not those of the test annotations in the "
            "order of their category ids; were the annotations exchanged since it was trained?"
        )


@torch.no_grad()
def _labels(network: Network, task: str, images: Split, numbers: range) -> list[int]:
    """Class indices of these images, by the parts of the network that the domain needs."""
    batch = torch.stack([torch.from_numpy(images.load(number)["image"]) for number in numbers])
    batch = batch.to(network.device, torch.float32).div_(255).contiguous(memory_format=torch.channels_last)
    model = network.forward
    raw = model(batch, only=[task]) if isinstance(model, Classifier) else model(batch)
    found: list[int] = network.tasks[task].decode(network.tasks[task].activate(raw[task])).tolist()
    return found
