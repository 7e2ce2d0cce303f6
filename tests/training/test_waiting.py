"""A training step asks the device for nothing back: a GPU is given work ahead, and its graphs can record a step."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mtlbench import pipeline
from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.training.build import make_trainer
from mtlbench.training.step import Part, train_step

from ..host_checks import HostChecks  # noqa: TID252

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@contextlib.contextmanager
def waiting_is_an_error(device: str) -> Iterator[None]:
    """On a CPU the operations are known whose CUDA form waits; a GPU says so itself."""
    if device == "cpu":
        with HostChecks(order=False):
            yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])])
@pytest.mark.parametrize("weighting", ["dwa: {temperature: 2.0}", "pcgrad: {}"])
def test_a_step_does_not_wait_for_the_device(project, edit, tmp_path: Path, device: str, weighting: str) -> None:
    edit("device: cpu", f"device: {device}")
    edit("segnet_split: {width: 0.0625}", "segnet_mtan: {width: 0.0625}")
    edit("dwa: {temperature: 2.0}", weighting)
    edit("augmentation: null", "augmentation: {scales: [1.0, 1.2], flip: true}")
    pipeline.prepare(load(), "rooms")
    cell = grid.cell(load(), f"tiny/segnet_mtan/{weighting.partition(':')[0]}/seed0")
    trainer, _ = make_trainer(cell, load().runtime, tmp_path)
    trainer.model.train()
    chosen = trainer.steps_in(0)[0]
    parts = [Part(domain.tasks, trainer.data.train_split.batch(images)) for domain, images in chosen]
    train_step(trainer, parts, 1e-3)  # the optimiser makes its moments at the first one
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    with waiting_is_an_error(device):
        train_step(trainer, parts, 1e-3)
    assert not all(map(torch.equal, before, trainer.model.parameters())), "it was a step"
