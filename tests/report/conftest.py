"""Made-up cells in the files that training writes, so that a report can be built without training anything.

Scenes are a few flat regions with a class, a depth and a normal each; predictions are the truth with errors whose
size depends on the row and the seed, so all files agree with one another as real ones do.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mtlbench.report.evidence.analysis import Analysis, analyse
from mtlbench.report.rows.grid import load_grid
from mtlbench.report.rows.inputs import CellInput, ReportInput
from mtlbench.runs.manifest import write as write_manifest
from mtlbench.runs.select import Trial, choose
from mtlbench.tasks import Task, make_tasks, totals

CLASSES = ["bed", "books", "ceiling", "chair", "floor", "table", "wall"]
DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "segmentation": {"classes": len(CLASSES), "class_names": CLASSES},
    "depth": {"near": 0.5, "far": 8.0},
    "normals": {},
}
EPOCHS = 12


def scenes(count: int, size: tuple[int, int], seed: int = 5) -> dict[str, torch.Tensor]:
    """Photographs and targets of made-up rooms: wall, floor, and boxes in front."""
    random = np.random.default_rng(seed)
    height, width = size
    image = np.zeros((count, 3, height, width), np.uint8)
    label = np.full((count, height, width), 6, np.int8)
    depth = np.zeros((count, 1, height, width), np.float32)
    normal = np.zeros((count, 3, height, width), np.float32)
    rows, columns = np.mgrid[0:height, 0:width]
    for i in range(count):
        horizon = int(height * random.uniform(0.45, 0.65))
        far = random.uniform(3, 6)
        depth[i, 0] = far
        normal[i, 2] = -1
        floor = rows >= horizon
        label[i][floor] = 4
        depth[i, 0][floor] = (far * horizon / np.maximum(rows, 1))[floor]
        normal[i][:, floor] = np.array([0, -1, 0])[:, None]
        for _ in range(random.integers(2, 6)):
            top, left = random.integers(0, height - 8), random.integers(0, width - 8)
            box = (
                slice(top, top + random.integers(6, height // 2)),
                slice(left, left + random.integers(6, width // 2)),
            )
            tilt = random.uniform(-1, 1)
            label[i][box] = random.choice([0, 1, 2, 3, 5])
            depth[i, 0][box] = random.uniform(1, far)
            normal[i][(slice(None), *box)] = np.array([np.sin(tilt), 0, -np.cos(tilt)])[:, None, None]
        shade = 60 + 22.0 * label[i] + 8 * np.sin(columns / 5)
        image[i] = np.clip(
            np.stack([shade, shade * 0.9, 200 - shade]) + random.normal(0, 6, (3, height, width)), 0, 255
        )
        hidden = random.random((height // 4 + 1, width // 4 + 1)).repeat(4, 0).repeat(4, 1)[:height, :width] < 0.08
        label[i][hidden] = -1
        depth[i, 0][hidden] = 0
        normal[i][:, hidden] = 0
    half = {
        "depth": torch.from_numpy(depth).half(),
        "inverse_depth": torch.from_numpy(depth / 10).half(),
        "normals": torch.from_numpy(normal).half(),
    }
    return {"image": torch.from_numpy(image), "segmentation": torch.from_numpy(label), **half}


def predictions(task: Task, name: str, target: torch.Tensor, error: float, seed: int) -> torch.Tensor:
    """Raw output that is wrong by about ``error`` (0 = perfect, 1 = useless), in blocks of 4 pixels."""
    generator = torch.Generator().manual_seed(seed)
    height, width = target.shape[-2:]

    def noise(channels: int) -> torch.Tensor:
        small = torch.randn(len(target), channels, -(-height // 4), -(-width // 4), generator=generator)
        return small.repeat_interleave(4, 2).repeat_interleave(4, 3)[..., :height, :width]

    if name == "segmentation":
        truth = torch.nn.functional.one_hot(target.long().clamp(min=0), task.channels).movedim(-1, 1).float()
        return truth * 2 + noise(task.channels) * 2 * error
    if name == "normals":
        return target.float() + noise(3) * error * 0.8
    return target.float() * (1 + 0.4 * error * noise(1)) + 0.05 * error


def skill(model: int, weighting: int, seed: int, task: int) -> float:
    """The error level of one cell: models and weightings differ, seeds scatter, tasks trade off."""
    scatter = np.random.default_rng([model, weighting, seed, task]).normal(0, 0.012)
    return float(0.62 - 0.045 * model - 0.02 * weighting * (1 if task != 2 else -1) + scatter)


def history(
    tasks: dict[str, Task], final: dict[str, dict[str, float]], weighting: str, seed: int, epochs: int
) -> list[dict]:
    """Rows of history.csv that end at the final numbers: training keeps improving, the test turns."""
    random = np.random.default_rng(seed)
    rows = []
    for epoch in range(epochs):
        done = 1 - np.exp(-4 * (epoch + 1) / epochs)
        row: dict[str, Any] = {"epoch": epoch, "learning_rate": 1e-4}
        for name, task in tasks.items():
            for split, factor in (("train", 0.55), ("test", 1.0)):
                row[f"{split}_loss_{name}"] = (
                    2.0 - 1.6 * done * (1.1 if split == "train" else 0.9) + random.normal(0, 0.02)
                )
                for metric in task.metrics:
                    value = final[name][metric.name]
                    start = value * (0.35 if metric.higher_is_better else 2.6)
                    end = value if split == "test" else value * (1 / factor**0.5 if metric.higher_is_better else factor)
                    row[f"{split}_{name}_{metric.name}"] = (
                        start + (end - start) * done + random.normal(0, 0.01 * abs(value))
                    )
            row[f"weight_{name}"] = 1.0 if weighting == "equal" else 1 + 0.4 * np.sin(epoch / 3 + len(name)) * done
            if weighting == "pcgrad":
                row[f"grad_norm_{name}"] = float(np.exp(-epoch / epochs) * (1 + len(name) / 9) + random.normal(0, 0.02))
        names = list(tasks)
        if weighting == "pcgrad":
            for i, first in enumerate(names):
                for second in names[i + 1 :]:
                    row[f"cosine_{first}_{second}"] = float(0.1 * np.cos(epoch / 4 + i) + random.normal(0, 0.02))
        rows.append(row)
    return rows


def write_cell(
    folder: Path, names: Sequence[str], weighting: str, seed: int, errors: dict[str, float],
    data: dict[str, torch.Tensor],
    descriptions: dict[str, dict[str, Any]], spec: dict[str, Any], epochs: int = EPOCHS, size_factor: float = 1.0,
) -> str:  # fmt: skip
    """Write all files of one finished cell; returns its key."""
    folder.mkdir(parents=True)
    tasks = make_tasks({name: descriptions[name] for name in names})
    arrays, final = {}, {}
    samples: dict[str, np.ndarray] = {"indices": np.arange(3), "image": data["image"][:3].numpy()}
    for i, (name, task) in enumerate(tasks.items()):
        prediction = task.activate(predictions(task, name, data[name], errors[name], seed * 10 + i))
        statistics = task.statistics(prediction, data[name])
        final[name] = task.reduce(totals(statistics))
        for statistic, values in statistics.items():
            values = values.numpy()
            small = np.min_scalar_type(int(values.max())) if values.dtype == np.int64 else values.dtype
            arrays[f"{name}/{statistic}"] = values.astype(small)
        samples[f"target_{name}"] = data[name][:3].numpy()
        samples[f"prediction_{name}"] = task.decode(prediction[:3]).numpy()
    if "segnet_mtan" in spec["path"]:
        masks = np.random.default_rng(seed).random((3, 6, 8)).astype(np.float16)
        samples.update({f"attention_{name}/level_{level}": masks for name in tasks for level in (1, 2)})
    rows = history(tasks, final, weighting, seed, epochs)
    lines = [",".join(rows[0]), *(",".join(repr(float(value)) for value in row.values()) for row in rows)]
    (folder / "history.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    better = {
        n: {m.name: final[n][m.name] * (1.02 if m.higher_is_better else 0.98) for m in t.metrics}
        for n, t in tasks.items()
    }
    rules = {"reported": final, "final": final, "last": final, "mean_last_10": final, "best_on_test": better}
    (folder / "metrics.json").write_text(json.dumps({"protocol": {"name": "paper"}, **rules}), encoding="utf-8")
    np.savez_compressed(folder / "per_image.npz", **arrays)
    np.savez_compressed(folder / "samples.npz", **samples)
    outputs = {path.name: path for path in sorted(folder.iterdir())}
    facts = {
        "status": "complete", "data": {"train/image.npy": "ab" * 32}, "parameters": int(25e6 * size_factor),
        "flops": 1e10 * size_factor,
        "device": "CPU (2 threads)", "seconds_total": 840.0, "seconds_per_epoch": 70.0 * size_factor,
        "inference_seconds_per_image": 0.081 * size_factor, "peak_memory_bytes": 3 * 2**30,
        "versions": {"torch": "2.11.0", "python": "3.11.7"}, "commit": "0123456789abcdef", "source": "feedbeef",
    }  # fmt: skip
    return json.loads(write_manifest(folder, spec, outputs, facts).read_text(encoding="utf-8"))["key"]


def make_report(
    root: Path, models: Sequence[str] = ("segnet_mtan", "segnet_split"), weightings: Sequence[str] = ("equal", "dwa"),
    seeds: Sequence[int] = (0, 1), images: int = 10, size: tuple[int, int] = (24, 32), epochs: int = EPOCHS,
    descriptions: dict[str, dict[str, Any]] = DESCRIPTIONS, data: dict[str, torch.Tensor] | None = None, **changes: Any,
) -> ReportInput:  # fmt: skip
    """A whole grid with its single-task baseline below ``root``; ``changes`` replace fields of the ReportInput."""
    data = data or scenes(images, size)
    cells = []
    plan = [("segnet_single", f"only_{task}", (task,), -1, 0) for task in descriptions]
    plan += [(m, w, tuple(descriptions), i, j) for i, m in enumerate(models) for j, w in enumerate(weightings)]
    for model, weighting, names, i, j in plan:
        for seed in seeds:
            path = f"test/{model}/{weighting}/seed{seed}"
            errors = {
                name: skill(max(i, 0), j, seed, t) - (0.02 if i < 0 else 0)
                for t, name in enumerate(descriptions)
                if name in names
            }
            factor = 1.0 if i < 0 else 1.3 + 0.35 * i
            key = write_cell(
                root / path, names, weighting, seed, errors, data, descriptions, {"path": path}, epochs, factor
            )
            cells.append(CellInput(path, model, weighting, seed, names, root / path, key, None, model))
    constant = {"segmentation": {"miou": 0.06, "pixel_accuracy": 0.35}, "depth": {"abs_error": 1.2, "rel_error": 0.55},
                "normals": {"angle_mean": 48.0, "angle_median": 45.0,
                            "within_11_25": 0.1, "within_22_5": 0.2, "within_30": 0.3}}  # fmt: skip
    fields: dict[str, Any] = {
        "name": "test", "title": "Made-up rooms", "dataset": "rooms", "size": size, "note": "",
        "protocol": {"name": "paper", "last_epochs": 10, "share": None},
        "training": {"epochs": epochs, "batch_size": 2, "precision": "float32", "augmentation": None,
                     "optimizer": {"name": "adam", "learning_rate": 1e-4},
                     "schedule": {"name": "step", "every": 100, "factor": 0.5}},
        "tasks": descriptions, "cells": tuple(cells), "baseline": "segnet_single", "constant": constant,
        "command": "snakemake --profile workflow/profiles/local test",
    }  # fmt: skip
    return ReportInput(**{**fields, **changes})


def make_searched(
    root: Path, weightings: Sequence[str] = ("equal", "dwa", "static", "frozen"), seeds: Sequence[int] = (0, 1, 2),
    trials: int = 3, **changes: Any,
) -> ReportInput:  # fmt: skip
    """``make_report`` of one model with the search of its rows: trials with held-out curves, and what they chose."""
    report = make_report(root, ("segnet_mtan",), weightings, seeds, **changes)
    data = scenes(10, (24, 32))
    found: dict[str, tuple[CellInput, ...]] = {}
    for cell in report.cells:
        name = f"{cell.model}/{cell.weighting}"
        if name not in found:
            found[name] = tuple(_write_trial(root, cell, number, report, data) for number in range(trials))
    cells = tuple(replace(cell, **_of_dwa(cell)) for cell in report.cells)
    return replace(report, cells=cells, trials=found, selection=_selection(report, found), searched=True,
                   search={"epochs": 6, "held_out": 0.25})  # fmt: skip


def _of_dwa(cell: CellInput) -> dict[str, str]:
    """The row "frozen" takes the mean weights of dwa, as collect.py says it."""
    if cell.weighting != "frozen":
        return {}
    return {"weighting_kind": "static", "mean_of": "dwa", "weighting_title": "Frozen mean weights of dwa"}


def _write_trial(root: Path, cell: CellInput, number: int, report: ReportInput, data: dict[str, Any]) -> CellInput:
    path = f"test/{cell.model}/{cell.weighting}/trial{number}"
    errors = {task: skill(0, len(cell.weighting), number, t) - 0.03 * number for t, task in enumerate(cell.tasks)}
    key = write_cell(
        root / path, cell.tasks, cell.weighting, 100 + number, errors, data, dict(report.tasks), {"path": path},
    )  # fmt: skip
    return replace(cell, path=path, folder=root / path, key=key, seed=1000)


def _selection(report: ReportInput, trials: dict[str, tuple[CellInput, ...]]) -> dict[str, Any]:
    """Held-out numbers are the test numbers of the next trial, so that the two sets choose otherwise."""
    metrics = {name: task.metrics for name, task in make_tasks(dict(report.tasks)).items()}
    rows = {}
    for name, cells in trials.items():
        values = [json.loads((cell.folder / "metrics.json").read_text())["reported"] for cell in cells]
        rows[name] = [
            Trial(number, cell.key, _trial_spec(cell, number), values[(number + 1) % len(values)], 1e10, 2)
            for number, cell in enumerate(cells)
        ]
    return choose(rows, [f"segnet_single/only_{task}" for task in report.tasks], metrics)


def _trial_spec(cell: CellInput, number: int) -> dict[str, Any]:
    optimizer = {"name": "adam", "learning_rate": 1e-3 * 2**number, "weight_decay": 0.0}
    options = {"weights": {"segmentation": 1.0 + number / 2, "depth": 0.75, "normals": 1.25 - number / 2}}
    weighting = {"kind": cell.weighting, "options": options if cell.weighting in ("static", "frozen") else {}}
    return {"training": {"optimizer": optimizer}, "model": {"options": {"width": 1.0}}, "weighting": weighting}


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ReportInput]:
    """``make_report`` in a folder of its own."""
    return lambda **options: make_report(tmp_path_factory.mktemp("cells"), **options)


@pytest.fixture(scope="session")
def report(make: Callable[..., ReportInput]) -> ReportInput:
    """Two models, two weightings, two seeds and the single-task baseline. Tests must not change its files."""
    return make()


@pytest.fixture(scope="session")
def searched_report(tmp_path_factory: pytest.TempPathFactory) -> ReportInput:
    """One model with four weightings, three seeds, the baseline, and the search of all. Tests must not change it."""
    return make_searched(tmp_path_factory.mktemp("searched"))


@pytest.fixture(scope="session")
def searched_analysis(searched_report: ReportInput) -> Analysis:
    """What is computed from it."""
    return analyse(load_grid(searched_report))


@pytest.fixture(scope="session")
def analysis(report: ReportInput) -> Analysis:
    """What is computed from it."""
    return analyse(load_grid(report))


@pytest.fixture(scope="session")
def built(make: Callable[..., ReportInput], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole report of one model, with a missing result."""
    from mtlbench.report.build import build_report

    report = make(models=("segnet_mtan",))
    cells = [*report.cells[:-1], replace(report.cells[-1], folder=None, missing="DivergedError: NaN in <depth> & co")]
    out = tmp_path_factory.mktemp("built")
    build_report(replace(report, cells=tuple(cells), title="Rooms <b>& more</b>"), out)
    return out


@pytest.fixture(scope="session")
def searched_built(searched_report: ReportInput, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the whole report of a searched experiment."""
    from mtlbench.report.build import build_report

    out = tmp_path_factory.mktemp("searched_built")
    build_report(searched_report, out)
    return out
