"""Evaluate a stored network again: do its weights give the numbers that were reported?"""

import math
import tempfile
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from mtlbench.plan.grid import Cell
from mtlbench.plan.params import Runtime
from mtlbench.runs import derived
from mtlbench.system.files import read_json
from mtlbench.training.build import make_trainer
from mtlbench.training.evaluate import evaluate
from mtlbench.training.history import without_nan

#: Relative difference that other hardware may make.
TOLERANCE = 1e-3


def evaluate_again(cell: Cell, runtime: Runtime, tolerance: float = TOLERANCE) -> list[str]:
    """The metrics of the stored network that differ from ``metrics.json`` by more than ``tolerance`` (relative)."""
    with tempfile.TemporaryDirectory() as work:
        trainer, _ = make_trainer(derived.resolved(cell), runtime, Path(work))
    path = cell.checkpoint_folder / "model.safetensors"
    try:
        trainer.model.load_state_dict(safetensors.torch.load_file(path, device=str(trainer.device)))
    except (safetensors.SafetensorError, RuntimeError) as error:
        why = " ".join(str(error).split())[:200]
        return [f"{path}: not the weights of this network ({why}); delete {cell.manifest} and run again"]
    everything = torch.arange(trainer.data.test_split.count)
    found = evaluate(
        trainer.model, trainer.tasks, trainer.data.test_split, everything, trainer.training.precision
    ).metrics
    recorded = read_json(cell.folder / "metrics.json")["final"]
    return [f"{cell.path}: evaluated again, {text}" for text in differences(recorded, without_nan(found), tolerance)]


def differences(recorded: dict[str, Any], now: dict[str, Any], tolerance: float) -> list[str]:
    """What differs by more than ``tolerance`` (relative) in {task: {metric: value}}; None is an undefined value."""
    problems = []
    for task, values in recorded.items():
        for metric, value in values.items():
            new = now[task][metric]
            undefined = value is None or new is None
            if (value is not new) if undefined else not math.isclose(new, value, rel_tol=tolerance, abs_tol=1e-6):
                problems.append(f"{task} {metric} is {new}, {value} was reported (tolerance {tolerance:.1%})")
    return problems
