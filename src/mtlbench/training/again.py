"""Evaluate a stored network again: do its weights give the numbers that were reported?"""

import math
import tempfile
from pathlib import Path

import safetensors.torch
import torch

from mtlbench.files import read_json
from mtlbench.grid import Cell
from mtlbench.params import Runtime
from mtlbench.training.cell import make_trainer
from mtlbench.training.evaluate import evaluate

#: Relative difference that other hardware may make.
TOLERANCE = 1e-3


def evaluate_again(cell: Cell, runtime: Runtime, tolerance: float = TOLERANCE) -> list[str]:
    """The metrics of the stored network that differ from ``metrics.json`` by more than ``tolerance`` (relative)."""
    with tempfile.TemporaryDirectory() as work:
        trainer, _ = make_trainer(cell, runtime, Path(work))
    weights = safetensors.torch.load_file(cell.checkpoint_folder / "model.safetensors", device=str(trainer.device))
    trainer.model.load_state_dict(weights)
    everything = torch.arange(trainer.data.test_split.count)
    found = evaluate(
        trainer.model, trainer.tasks, trainer.data.test_split, everything, trainer.training.precision
    ).metrics
    recorded = read_json(cell.folder / "metrics.json")["final"]
    problems = []
    for task, values in recorded.items():
        for metric, value in values.items():
            now = found[task][metric]
            both_undefined = value is None and math.isnan(now)
            if not both_undefined and not math.isclose(now, value, rel_tol=tolerance, abs_tol=1e-6):
                problems.append(
                    f"{cell.path}: {task} {metric} is {now:.6g} when evaluated again, {value:.6g} was reported"
                )
    return problems
