"""The training step as the public code of the field is described: what `mtlbench bench roofline` compares ours with.

Contiguous float32 tensors, max-pooling with indices and unpooling by them, the losses of all tasks in one tensor, an
unfused Adam, and at every step the losses and metrics as numbers on the CPU. Written from that description; the losses
and metrics are the ones here, so the difference is in how a step is done and not in what it computes.
"""

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtlbench.models.blocks.pooling import CeilMaxPool, MaxPool, MaxUnpool
from mtlbench.training.domains import answers
from mtlbench.training.step import Part
from mtlbench.training.supervision import training_loss
from mtlbench.training.trainer import Trainer


class IndexPool(nn.Module):
    """Maxima over 2x2 windows and their int64 indices."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return F.max_pool2d(x, 2, 2, return_indices=True)


class IndexUnpool(nn.Module):
    """Values put back at their indices."""

    def forward(self, values: Tensor, indices: Tensor) -> Tensor:
        return F.max_unpool2d(values, indices, 2, 2)


class CeilPool(nn.Module):
    """Maxima over 2x2 windows of any map."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2, 2, ceil_mode=True)


POOLING = {MaxPool: IndexPool, MaxUnpool: IndexUnpool, CeilMaxPool: CeilPool}


def network(model: nn.Module) -> nn.Module:
    """A copy of the model in the plain memory format, with pooling by index."""
    plain = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    for module in list(plain.modules()):
        for name, child in module.named_children():
            if type(child) in POOLING:
                setattr(module, name, POOLING[type(child)]())
    return plain.train()


def make_step(trainer: Trainer, parts: list[Part]) -> Callable[[], list[float]]:
    """The step of this trainer's network on these images; it gives the losses of the tasks of these parts."""
    model = network(trainer.model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    batches = [(part.tasks, part.batch | {"image": part.batch["image"].contiguous()}) for part in parts]
    tasks = trainer.tasks

    def step() -> list[float]:
        optimizer.zero_grad()
        raw: dict[str, Tensor] = {}
        found = []
        for names, batch in batches:
            raw |= answers(model, batch["image"], names, tasks)
            found += [training_loss(name, tasks[name], raw, batch[name], trainer.model.auxiliary) for name in names]
        losses = torch.stack(found)
        (losses * torch.ones_like(losses)).sum().backward()
        optimizer.step()
        for names, batch in batches:
            for name in names:
                prediction = tasks[name].activate(raw[name].detach()).cpu()
                counts = tasks[name].statistics(prediction, batch[name].cpu())
                tasks[name].reduce({key: value.sum(0) for key, value in counts.items()})
        return losses.tolist()

    return step
