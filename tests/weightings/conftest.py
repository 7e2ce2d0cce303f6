"""A problem whose gradients are known: losses that are linear in a shared vector and in one head for each task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from mtlbench.plan import registry
from mtlbench.weightings import Weighting


@dataclass
class Problem:
    """loss_t = values[t] + jacobian[t].(shared - start) + head_t.k_t, with shared = start and head_t = 0 at first.

    So the shared gradient of task t is jacobian[t], that of its head k_t = (t + 1, -1), and the loss values[t].
    ``shared`` is split over two parameters, one of them with channels_last strides.
    """

    jacobian: Tensor
    values: Tensor
    shared: list[nn.Parameter] = field(init=False)
    heads: list[nn.Parameter] = field(init=False)

    def __post_init__(self) -> None:
        count, size = self.jacobian.shape
        assert size % 4 == 0
        dtype = self.jacobian.dtype
        image = torch.zeros(1, size // 4, 2, 1, dtype=dtype).to(memory_format=torch.channels_last)
        self.shared = [nn.Parameter(torch.zeros(size // 2, dtype=dtype)), nn.Parameter(image)]
        self.heads = [nn.Parameter(torch.zeros(2, dtype=dtype)) for _ in range(count)]

    def head_gradient(self, task: int) -> Tensor:
        return torch.tensor([task + 1.0, -1.0], dtype=self.jacobian.dtype)

    def losses(self) -> list[Tensor]:
        vector = torch.cat([parameter.reshape(-1) for parameter in self.shared])
        return [
            value + (row * vector).sum() + (self.head_gradient(task) * head).sum()
            for task, (value, row, head) in enumerate(zip(self.values, self.jacobian, self.heads, strict=True))
        ]

    def step(self, weighting: Weighting) -> tuple[Tensor, Tensor]:
        """Fill the gradients once; the shared gradient as one vector, and the weights."""
        for parameter in [*self.shared, *self.heads, *weighting.parameters()]:
            parameter.grad = None
        weights = weighting.backward(self.losses(), self.shared)
        return self.shared_gradient(), weights

    def shared_gradient(self) -> Tensor:
        return torch.cat([parameter.grad.reshape(-1) for parameter in self.shared])


@pytest.fixture
def problem() -> Callable[..., Problem]:
    """problem(jacobian, values=None): losses 1, 2, ... by default."""

    def make(jacobian: Tensor | Sequence[Sequence[float]], values: Sequence[float] | None = None) -> Problem:
        matrix = torch.as_tensor(jacobian)
        given = range(1, len(matrix) + 1) if values is None else values
        return Problem(matrix, torch.tensor(list(given), dtype=matrix.dtype))

    return make


@pytest.fixture
def weighting() -> Callable[..., Weighting]:
    """weighting(name, T, **options): a new weighting by the name of its file."""

    def make(name: str, count: int, **options: object) -> Weighting:
        return registry.entry("weightings", name).load()([f"task{i}" for i in range(count)], **options)

    return make
