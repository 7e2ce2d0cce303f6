"""Auxiliary predictions: they change the training loss by their stated multiple, and nothing else sees them."""

import math

import pytest
import torch
import torch.nn.functional as F

from mtlbench import pipeline
from mtlbench.models import Model, parameter_owners
from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.runs.manifest import Manifest
from mtlbench.system.files import read_json
from mtlbench.tasks import make_tasks
from mtlbench.training.build import make_trainer
from mtlbench.training.cell import run_cell
from mtlbench.training.loop import run
from mtlbench.training.step import Part, _losses
from mtlbench.training.supervision import training_loss

TWO_HEADS = '''"""A shared convolution, a head for each task, and one for its auxiliary map of half the size."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor, nn

from mtlbench.models import Model


class TwoHeads(Model):
    """See above."""

    family: ClassVar[str] = "two_heads"
    paper: ClassVar[str] = "an example"
    size_multiple: ClassVar[int] = 2

    def __init__(
        self, tasks: Mapping[str, int], *, multiple: Annotated[float, Field(ge=0, description="of the loss")] = 0.25
    ) -> None:
        super().__init__(tasks)
        self.auxiliary = {"half": multiple}
        self.body = nn.Conv2d(3, 4, 3, padding=1)
        self.early = nn.ModuleDict({task: nn.Conv2d(4, channels, 1, 2) for task, channels in tasks.items()})
        self.heads = nn.ModuleDict({task: nn.Conv2d(4, channels, 1) for task, channels in tasks.items()})

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = self.body(image)
        found = {task: head(features) for task, head in self.heads.items()}
        if self.training:
            found |= {f"{task}/half": head(features) for task, head in self.early.items()}
        return found
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An extension with the network, the same for all tests: Python imports a module once."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "models").mkdir()
    (folder / "models" / "two_heads.py").write_text(TWO_HEADS)
    return folder


@pytest.fixture
def two_heads(project, edit, folder) -> None:
    """The tiny experiment with a network that has an auxiliary map for each task."""
    edit("run: [tiny]", f"extensions: [{folder}]\nrun: [tiny]")
    edit("segnet_split: {width: 0.0625}", "two_heads: {}")
    pipeline.prepare(load(), "rooms")


def trainer_of(path: str, folder):
    folder.mkdir(exist_ok=True)
    return make_trainer(grid.cell(load(), path), load().runtime, folder)


def test_a_task_s_loss_is_its_final_loss_plus_multiples_of_the_auxiliary_ones() -> None:
    task = make_tasks({"depth": {}})["depth"]
    raw = {"depth": torch.rand(2, 1, 8, 12), "depth/a": torch.rand(2, 1, 4, 6), "depth/b": torch.rand(2, 1, 8, 12)}
    target = torch.rand(2, 1, 8, 12) + 0.1
    enlarged = F.interpolate(raw["depth/a"], (8, 12), mode="bilinear", align_corners=True)
    wanted = task.loss(raw["depth"], target) + 0.5 * task.loss(enlarged, target) + 3 * task.loss(raw["depth/b"], target)
    torch.testing.assert_close(training_loss("depth", task, raw, target, {"a": 0.5, "b": 3.0}), wanted)
    assert torch.equal(training_loss("depth", task, raw, target, {}), task.loss(raw["depth"], target))


def test_logits_of_classes_keep_their_shape() -> None:
    task = make_tasks({"classification": {"classes": 3, "class_names": ["a", "b", "c"]}})["classification"]
    raw = {"classification": torch.rand(4, 3), "classification/early": torch.rand(4, 3)}
    target = torch.tensor([0, 1, 2, 0])
    wanted = task.loss(raw["classification"], target) + 2 * task.loss(raw["classification/early"], target)
    torch.testing.assert_close(training_loss("classification", task, raw, target, {"early": 2.0}), wanted)


def test_the_step_follows_the_gradient_of_the_whole_loss(two_heads, tmp_path) -> None:
    trainer, _ = trainer_of("tiny/two_heads/equal/seed0", tmp_path / "run")
    batch = trainer.data.train_split.batch(torch.arange(2))
    trainer.model.train()
    found = _losses(trainer, [Part(tuple(trainer.tasks), batch)])[1]
    raw = trainer.model(batch["image"])
    for loss, (name, task) in zip(found, trainer.tasks.items(), strict=True):
        half = F.interpolate(raw[f"{name}/half"], batch["image"].shape[-2:], mode="bilinear", align_corners=True)
        torch.testing.assert_close(loss, task.loss(raw[name], batch[name]) + 0.25 * task.loss(half, batch[name]))
        (gradient,) = torch.autograd.grad(loss, trainer.model.early[name].weight, retain_graph=True)
        assert gradient.abs().max() > 0


def test_evaluation_and_files_know_the_final_maps_only(two_heads, tmp_path) -> None:
    cell = grid.cell(load(), "tiny/two_heads/dwa/seed0")
    assert run_cell(cell, load().runtime) == "complete"
    header, *rows = [line.split(",") for line in (cell.folder / "history.csv").read_text().splitlines()]
    assert not [name for name in header if "half" in name]
    assert all(math.isfinite(float(value)) for row in rows for value in row if value)
    assert set(read_json(cell.folder / "metrics.json")["reported"]) == set(cell.tasks)
    facts = Manifest.read(cell.manifest).facts
    trainer, _ = trainer_of(cell.path, tmp_path / "run")
    heads = 4 * sum(trainer.model.tasks.values())  # multiply-adds of all tasks' heads at a pixel
    assert facts["flops"] == 2 * 32 * 32 * (27 * 4 + heads)
    assert facts["training_flops"] == facts["flops"] + 2 * 16 * 16 * heads


def test_a_multiple_of_zero_trains_what_no_auxiliary_map_would_train(two_heads, edit, tmp_path) -> None:
    edit("two_heads: {}", "two_heads: {multiple: 0.0}")
    trainer, _ = trainer_of("tiny/two_heads/equal/seed0", tmp_path / "run")
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    run(trainer)
    moved = {name for name, value in trainer.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if not name.startswith("early.")}


def test_an_auxiliary_map_belongs_to_its_task(two_heads) -> None:
    from mtlbench.plan.registry import entry

    model: Model = entry("models", "two_heads").load()({"depth": 1, "normals": 3})
    owners = parameter_owners(model)
    assert owners["early.depth.weight"] == owners["heads.depth.weight"] == {"depth"}
    assert owners["early.normals.bias"] == {"normals"}
    assert owners["body.weight"] == {"depth", "normals"}
