"""The second phase of training: without the left-out domains, at its own rate, to the same bytes when it is killed."""

import csv
import math
from pathlib import Path

import pytest
import torch

from mtlbench import pipeline
from mtlbench.plan import extensions, grid
from mtlbench.plan.params import load
from mtlbench.report.rows.text import training_text
from mtlbench.system.errors import ParamsError
from mtlbench.training import loop
from mtlbench.training.build import make_trainer
from mtlbench.training.cell import run_cell

from .conftest import contents, forget, kill_at
from .test_domains import CLASSIFIERS
from .test_domains import PARAMS as ONE_PHASE

PHASE = "second_phase: {epochs: 2, learning_rate: 0.01, without: [digits]}"
SEARCH = (
    "search: {trials: 2, epochs: 2, held_out: 0.5, rule: primary_gain, "
    "space: {optimizer: {learning_rate: {low: 0.01, high: 0.1}}}}"
)
PARAMS = (
    ONE_PHASE.replace("epochs: 2", "epochs: 5")
    .replace("{name: constant}", "{name: step, every: 2, factor: 0.5}")
    .replace("domains: together", f"domains: in_turn\n      {PHASE}")
)
CELL = "tiny/linear/equal/seed0"


@pytest.fixture
def shapes(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three rendered domains, three epochs of all, two without digits."""
    monkeypatch.setenv(extensions.VARIABLE, "")
    (project / "params.yaml").write_text(f"extensions: ['{CLASSIFIERS}']\n{PARAMS}")
    return project


def test_the_second_phase_leaves_the_domain_and_lowers_the_rate(shapes: Path, tmp_path: Path) -> None:
    pipeline.prepare(load(), "shapes")
    trainer, _ = make_trainer(grid.cell(load(), CELL), load().runtime, tmp_path / "one")
    names = [sorted({d.tasks[0] for step in trainer.steps_in(epoch) for d, _ in step}) for epoch in range(5)]
    assert names == [["digits", "solids", "textures"]] * 3 + [["solids", "textures"]] * 2
    kept = []
    trainer.hooks.epoch_done = lambda row: kept.append(trainer.model.state_dict()["heads.digits.weight"].clone())
    loop.run(trainer)
    assert [row["learning_rate"] for row in trainer.rows] == [0.1, 0.1, 0.05, 0.01, 0.01]
    assert not torch.equal(kept[1], kept[2])
    assert torch.equal(kept[2], kept[3])  # neither momentum nor weight decay moves what belongs to the domain
    assert [math.isnan(row["train_loss_digits"]) for row in trainer.rows] == [False] * 3 + [True] * 2
    assert [math.isnan(row["train_digits_top1"]) for row in trainer.rows] == [False] * 3 + [True] * 2
    assert all(0 <= row["test_digits_top1"] <= 1 for row in trainer.rows)  # measured to the end
    assert not any(math.isnan(row["train_loss_solids"]) for row in trainer.rows)


@pytest.mark.slow
def test_killed_in_either_phase_it_ends_with_the_same_bytes(shapes: Path, edit) -> None:
    """A network of batch statistics of its own for each domain, killed in the middle of an epoch of each phase."""
    edit("linear: {}", "linear: {kind: split_vgg, depth: 11, width: 0.0625, batch_norm: statistics}")
    edit("drop_last: false", "drop_last: true")
    pipeline.prepare(load(), "shapes")
    cell = grid.cell(load(), CELL)
    assert run_cell(cell, load().runtime) == "complete"
    whole = contents(cell)
    forget(cell)
    kill_at("mtlbench.training.loop", "", "train_step", 5, CELL)  # in the second epoch
    kill_at("mtlbench.training.loop", "", "train_step", 9, CELL)  # in the fourth or fifth, from the second one on
    assert run_cell(cell, load().runtime) == "complete"
    assert contents(cell) == whole
    rows = list(csv.DictReader(whole["history.csv"].decode().splitlines()))
    assert [row["train_loss_digits"] == "nan" for row in rows] == [False] * 3 + [True] * 2


def test_a_left_out_domain_alone_ends_with_the_first_phase(shapes: Path) -> None:
    cells = {cell.tasks[0]: cell.recipe.training for cell in grid.cells(load(), "tiny") if len(cell.tasks) == 1}
    assert (cells["digits"].epochs, cells["digits"].second_phase) == (3, None)
    assert cells["solids"].epochs == 5
    assert cells["solids"].second_phase.model_dump() == {"epochs": 2, "learning_rate": 0.01, "without": []}
    training = grid.cell(load(), CELL).spec["training"]
    assert "5 epochs, batch 4, sgd 0.1, × 0.5 every 2 epochs, the last 2 without digits at 0.01" in training_text(
        training
    )


def test_without_a_second_phase_keys_stay(shapes: Path, edit) -> None:
    edit(PHASE, "second_phase: null")
    assert "second_phase" not in grid.cell(load(), CELL).spec["training"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("domains: in_turn", "domains: null", r"second_phase: expected null without training\.domains"),
        ("without: [digits]", "without: [numbers]", r"second_phase\.without: .*tasks digits, .*found 'numbers'"),
        ("without: [digits]", "without: []", r"second_phase\.without: expected some of the tasks"),
        ("without: [digits]", "without: [digits, solids, textures]", r"and not all of them"),
        ("{epochs: 2,", "{epochs: 5,", r"second_phase\.epochs: expected fewer than training\.epochs, 5 of both"),
        ("last_epochs: 1", "last_epochs: 3", r"last_epochs: expected no more epochs than each phase"),
        ("equal: {}", "dwa: {}", r"'dwa' needs the losses of all tasks, and training\.second_phase leaves some out"),
        ("    resources:", f"    {SEARCH}\n    resources:", r"second_phase: expected null beside 'search'"),
        ("in_turn", "together", None),
        ("equal: {}", "uncertainty: {}", r"'uncertainty' needs the losses of all tasks"),
    ],
)
def test_what_makes_no_sense_is_refused(shapes: Path, edit, old: str, new: str, words: str | None) -> None:
    edit(old, new)
    if words is None:
        assert grid.cells(load(), "tiny")
        return
    with pytest.raises(ParamsError, match=words):
        grid.cells(load(), "tiny")
