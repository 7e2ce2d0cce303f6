"""What a finished run leaves: weights, metrics, history, per-image statistics, samples, and its cost."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from mtlbench.metrics import rules
from mtlbench.system.files import atomic_writer, write_json, write_text
from mtlbench.training import device as devices
from mtlbench.training import history
from mtlbench.training.description import NAME, describe
from mtlbench.training.domains import answers, domains_of
from mtlbench.training.evaluate import Evaluation, evaluate
from mtlbench.training.masks import attention_masks
from mtlbench.training.trainer import Trainer

#: Test images whose predictions are kept for the report.
SAMPLES = 6


def write_outputs(
    staged: Path, trainer: Trainer, status: str, spec: Mapping[str, Any], facts: Mapping[str, Any]
) -> dict[str, Path]:
    """Write a run's files into ``staged``; returns {name: path}. Of a diverged run only its history is kept.

    ``spec`` and ``facts`` are those of its manifest: the checkpoint file tells what a user of it must know.
    """
    write_text(staged / "history.csv", history.to_csv(trainer.rows))
    if status == "complete":
        if trainer.best is not None:
            trainer.model.load_state_dict(trainer.best["model"])
        everything = torch.arange(trainer.data.test_split.count)
        final = evaluate(trainer.model, trainer.tasks, trainer.data.test_split, everything, trainer.training.precision)
        metrics = history.without_nan(summarise(trainer, final))
        write_json(staged / "metrics.json", metrics)
        _write_arrays(staged / "per_image.npz", {
            f"{task}/{name}": values for task, found in final.per_image.items() for name, values in found.items()
        } | {"scene": _scenes(trainer)})  # fmt: skip
        _write_arrays(staged / "samples.npz", _samples(trainer))
        state = {name: value.cpu().contiguous() for name, value in trainer.model.state_dict().items()}
        description = describe(spec, facts, metrics["reported"]).text()
        with atomic_writer(staged / "model.safetensors") as file:
            file.write(safetensors.torch.save(state, {NAME: description}))
    return {path.name: path for path in sorted(staged.iterdir())}


def summarise(trainer: Trainer, final: Evaluation) -> dict[str, Any]:
    """``metrics.json``: the reported numbers and the same under the other rules in use."""
    names, rows = trainer.metric_names, trainer.rows
    found: dict[str, Any] = {"protocol": trainer.protocol.model_dump(), "final": final.metrics}
    if trainer.best is not None:
        found["best_on_held_out"] = found["reported"] = final.metrics
        found["best_epoch"] = trainer.best["epoch"]
    else:
        assert trainer.protocol.last_epochs is not None
        found["reported"] = history.mean_of_last(rows, trainer.protocol.last_epochs, "test", names)
    if "test" in trainer.recorded:
        found["last"] = history.at_epoch(rows, len(rows) - 1, "test", names)
        found["mean_last_10"] = history.mean_of_last(rows, rules.LAST, "test", names)
        best = history.flattering_epoch(rows, "test", trainer.metrics, found["reported"])
        found["best_on_test"] = history.at_epoch(rows, best, "test", names)
    return found


def _scenes(trainer: Trainer) -> np.ndarray:
    """The scene (N,) int32 of every test image; each image is one where the dataset knows none."""
    split = trainer.data.test_split
    return np.arange(split.count, dtype=np.int32) if split.groups is None else np.asarray(split.groups, np.int32)


@torch.no_grad()
def _samples(trainer: Trainer) -> dict[str, np.ndarray]:
    """A few test images of each domain, evenly spaced, with targets, decoded predictions and the attention masks.

    A prediction of a class comes with its probability; images of other domains have none (-1, NaN).
    """
    split = trainer.data.test_split
    indices = _sampled(trainer)
    batch = split.batch(indices)
    trainer.model.eval()
    with devices.autocast(trainer.device, trainer.training.precision):
        masks = attention_masks(trainer.model, batch["image"], list(trainer.tasks))
    found = {
        "indices": indices.numpy(),
        "image": split.arrays["image"][indices.to(split.arrays["image"].device)].cpu().numpy(),
    }
    for domain in domains_of(trainer.tasks, split, indices):
        with devices.autocast(trainer.device, trainer.training.precision):
            whole = len(domain.positions) == len(indices)  # as it is: a copy may have another layout
            images = batch["image"] if whole else batch["image"][domain.positions.to(trainer.device)]
            raw = answers(trainer.model, images, domain.tasks, trainer.tasks)
        for name in domain.tasks:
            found |= _predicted(trainer, name, raw[name], indices, domain.positions)
    return found | masks


def _sampled(trainer: Trainer) -> Tensor:
    """The positions of the sampled test images: ``SAMPLES`` of each domain."""
    split = trainer.data.test_split
    found = []
    for domain in domains_of(trainer.tasks, split, torch.arange(split.count)):
        last = len(domain.indices) - 1
        found.append(domain.indices[torch.linspace(0, last, min(SAMPLES, last + 1)).round().long()])
    return torch.cat(found)


def _predicted(trainer: Trainer, name: str, raw: Tensor, indices: Tensor, positions: Tensor) -> dict[str, np.ndarray]:
    """Target, prediction and its probability of a task; ``raw`` is of the images at ``positions`` of ``indices``."""
    task = trainer.tasks[name]
    stored = trainer.data.test_split.arrays[name]
    target = stored[indices.to(stored.device)].cpu()
    activated = task.activate(raw)
    prediction = torch.full_like(target, -1)
    prediction[positions] = task.decode(activated).to(target.dtype).cpu()
    found = {f"target_{name}": target.numpy(), f"prediction_{name}": prediction.numpy()}
    if not task.maps.per_pixel:
        probability = torch.full(target.shape, torch.nan)
        probability[positions] = activated.amax(1).exp().cpu()
        found[f"probability_{name}"] = probability.numpy()
    return found


def _write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with atomic_writer(path) as file:
        np.savez_compressed(file, **{name: _compact(values) for name, values in arrays.items()})  # type: ignore[arg-type]


def _compact(values: np.ndarray) -> np.ndarray:
    """Counts in the smallest unsigned type that holds them."""
    if values.dtype != np.int64 or values.size == 0 or values.min() < 0:
        return values
    return values.astype(np.min_scalar_type(int(values.max())))


@torch.no_grad()
def cost(trainer: Trainer) -> dict[str, Any]:
    """Time, memory and surroundings of this run; never part of the numbers that are compared bit by bit.

    The inference of several domains is that of an image of each.
    """
    trainer.model.eval()
    batch = trainer.data.test_split.batch(torch.arange(1))
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        with devices.autocast(trainer.device, trainer.training.precision):
            for domain in trainer.domains:
                answers(trainer.model, batch["image"], domain.tasks, trainer.tasks)
        if trainer.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return {
        "device": devices.describe(trainer.device),
        "threads": torch.get_num_threads(),
        "segments": trainer.segments,
        "seconds_total": trainer.seconds,
        "seconds_per_epoch": trainer.seconds / max(trainer.epoch, 1),
        "inference_seconds_per_image": float(np.median(times)),
        "peak_memory_bytes": devices.peak_memory(trainer.device),
    }
