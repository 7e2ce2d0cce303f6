"""The fast ways of a step follow the plain one for 50 steps: channels_last, fused, in bfloat16 and compiled.

The plain way: contiguous tensors, an optimiser that is not fused, float32. In float32 rounding alone takes two plain
runs apart, because BatchNorm over the few pixels of deep layers amplifies it: first weights that differ by one rounding
(6e-8) change single losses by up to 10 % within 50 steps. So the same steps are compared in float64, where a mistake
cannot hide behind rounding, and in the precisions that are offered by the mean losses of ten steps each.
"""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from mtlbench.plan import grid, places
from mtlbench.plan.params import load
from mtlbench.training import data
from mtlbench.training import step as steps
from mtlbench.training.build import make_trainer
from mtlbench.training.optimize import set_rate
from mtlbench.training.step import Part, train_step
from mtlbench.training.trainer import Trainer

CELL = "tiny/segnet_split/equal/seed0"
STEPS = 50
DECODE = data.decode


@pytest.fixture(scope="module")
def folder(tiny: str, tiny_rooms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the tiny experiment and its arrays."""
    made = tmp_path_factory.mktemp("fast_paths")
    (made / "params.yaml").write_text(tiny)
    shutil.copytree(tiny_rooms, made / places.prepared("rooms"))
    return made


def losses(
    folder: Path, rate: float = 1e-3, plain: bool = False, compiled: bool = False, **training: Any
) -> torch.Tensor:
    """(50, tasks): the losses of the first steps of the cell, with these settings of its training changed."""
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        runtime = load().runtime.model_copy(update={"compile": compiled})
        trainer, _ = make_trainer(grid.cell(load(), CELL), runtime, folder)
        trainer.training = trainer.training.model_copy(update=training)
        if plain:
            make_plain(trainer)
        set_rate(trainer.optimizer, rate)
        found: list[torch.Tensor] = []
        record = steps.record
        patch.setattr(steps, "record", lambda of, values, *rest: found.append(values) or record(of, values, *rest))
        trainer.model.train()
        while len(found) < STEPS:
            for step in trainer.steps_in(trainer.epoch)[: STEPS - len(found)]:
                train_step(trainer, [part(trainer, images, plain) for _, images in step], rate)
                trainer.step += 1
            trainer.epoch += 1
            trainer.start_epoch()
    return torch.stack([torch.stack(values).detach().double() for values in found])


def make_plain(trainer: Trainer) -> None:
    """Contiguous parameters, and an optimiser that updates one after the other."""
    assert trainer.optimizer.defaults["fused"]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in trainer.model.parameters() if p.dim() == 4)
    trainer.model.to(memory_format=torch.contiguous_format)
    trainer.optimizer = torch.optim.Adam(trainer.model.parameters(), fused=False, foreach=False)


def part(trainer: Trainer, images: torch.Tensor, plain: bool) -> Part:
    """A batch, contiguous for the plain way."""
    batch = trainer.data.train_split.batch(images)
    assert batch["image"].is_contiguous(memory_format=torch.channels_last)
    return Part(tuple(trainer.tasks), batch | ({"image": batch["image"].contiguous()} if plain else {}))


def noisy(name: str, values: torch.Tensor) -> torch.Tensor:
    """As for training, in float64 and with noise: a map that is flat but for its rounding has no stable maxima."""
    if name != "image":
        return DECODE(name, values)
    noise = torch.rand(values.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (DECODE(name, values) + 0.2 * noise).contiguous(memory_format=torch.channels_last)


def test_in_float64_every_loss_is_that_of_the_plain_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small steps, because single runs are too sensitive after long ones: a learning rate that is 0.1 % too large moves
    losses by 4e-5 within ten steps and by 4e-3 within twenty. Losses are float32, with a rounding of 6e-8.
    """
    monkeypatch.setattr(data, "decode", noisy)
    torch.set_default_dtype(torch.float64)
    try:
        expected, found = (losses(folder, rate=1e-5, plain=plain, batch_size=6) for plain in (True, False))
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    assert (expected[1:] != expected[:-1]).all(), "every step changes every loss"


@pytest.fixture(scope="module")
def plain(folder: Path) -> torch.Tensor:
    """The losses of the plain way in float32."""
    return losses(folder, plain=True)


#: Of the mean loss of ten steps. Measured: at most 2.4 % in float32 and in bfloat16, as for plain runs whose weights
#: begin one rounding of either away; 9 % for a learning rate that is 10 % too large, 21 % where it is 20 % too small.
TOLERANCE = 0.06


def follow(found: torch.Tensor, plain: torch.Tensor) -> None:
    """Compare the means of ten steps each."""
    means, expected = (values.reshape(5, 10, -1).mean(1) for values in (found, plain))
    torch.testing.assert_close(means, expected, rtol=TOLERANCE, atol=0)
    assert not torch.equal(found, plain), "it is another way"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_losses_follow_the_plain_way(folder: Path, plain: torch.Tensor, precision: str) -> None:
    follow(losses(folder, precision=precision), plain)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="no C++ compiler")
def test_losses_of_the_compiled_network_follow_the_plain_way(folder: Path, plain: torch.Tensor) -> None:
    follow(losses(folder, compiled=True), plain)
