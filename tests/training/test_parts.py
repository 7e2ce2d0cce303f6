"""A learning rate of its own for the fusion units: they move as much further, nothing else does, and runs continue."""

import pytest
import torch

from mtlbench import pipeline
from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.system.errors import Interrupted
from mtlbench.training import loop
from mtlbench.training.build import make_trainer
from mtlbench.training.cell import run_cell
from mtlbench.training.trainer import Trainer

from .conftest import contents, forget

PATH = "tiny/segnet_cross_stitch/equal/seed0"


@pytest.fixture
def stitched(project, edit):
    """A function that makes the tiny experiment one of cross-stitched networks, trained by SGD with these settings."""
    edit("segnet_split: {width: 0.0625}", "segnet_cross_stitch: {width: 0.0625}")
    edit("optimizer: {name: adam, ", "optimizer: {name: sgd, ")
    edit("schedule: {name: constant}", "schedule: {name: step, every: 1, factor: 0.5}")
    pipeline.prepare(load(), "rooms")
    return lambda factor: edit("precision: float32", f"parts: {{fusion: {{rate_factor: {factor}}}}}\n      "
                               "precision: float32")  # fmt: skip


def trainer_of(folder) -> Trainer:
    folder.mkdir()
    return make_trainer(grid.cell(load(), PATH), load().runtime, folder)[0]


def moves(folder) -> dict[str, torch.Tensor]:
    """How far the first step moves each parameter."""
    trainer = trainer_of(folder)
    before = {name: parameter.detach().double().clone() for name, parameter in trainer.model.named_parameters()}
    trainer.hooks.stop = lambda: "SIGTERM"
    with pytest.raises(Interrupted):
        loop.run(trainer)
    return {name: parameter.detach().double() - before[name] for name, parameter in trainer.model.named_parameters()}


def test_the_part_moves_by_its_factor_and_the_rest_as_before(stitched, tmp_path) -> None:
    plain = moves(tmp_path / "one")
    stitched(100)
    faster = moves(tmp_path / "other")
    fusion = {name for name in plain if "_units." in name}
    assert len(fusion) == 3 * 9
    for name, move in plain.items():
        if name in fusion:
            # The units' weights are near 0.1 and 0.9, so float32 rounds each move to 6e-8.
            torch.testing.assert_close(faster[name], 100 * move, rtol=1e-4, atol=1e-5)
            assert faster[name].abs().max() > 50 * move.abs().max() > 0
        else:
            assert torch.equal(faster[name], move), name


def test_the_schedule_applies_to_all_parts(stitched, tmp_path) -> None:
    stitched(100)
    trainer = trainer_of(tmp_path / "run")
    loop.run(trainer)
    assert [group["lr"] for group in trainer.optimizer.param_groups] == pytest.approx([1e-3 / 4, 0.1 / 4])
    assert [row["learning_rate"] for row in trainer.rows] == pytest.approx([1e-3, 1e-3 / 2, 1e-3 / 4])


def test_a_stopped_run_continues_to_the_same_bytes(stitched, stop) -> None:
    stitched(100)
    cell = grid.cell(load(), PATH)
    run_cell(cell, load().runtime)
    expected = contents(cell)
    forget(cell)
    stop(cell)
    run_cell(cell, load().runtime)
    assert contents(cell) == expected
