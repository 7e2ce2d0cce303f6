"""A level of extraction on numbers that can be followed by hand."""

import torch
from torch import Tensor, nn

from mtlbench.models.blocks.extraction import Extraction


class _Times(nn.Module):
    """An expert that multiplies by a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def level(last: bool) -> Extraction:
    """Task a has the experts x 1 and x 10, task b x 2 and x 20; shared is x 5. The gates look at their input's mean."""
    own = {"a": [_Times(1), _Times(10)], "b": [_Times(2), _Times(20)]}
    block = Extraction(own, [_Times(5)], 1, last)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
        # Softmax of (log 2, 0, 0) where the task's features have the mean 1: one half and two quarters.
        block.gates["a"].weight[0] = torch.tensor(2.0).log()
        if not last:
            block.shared_gate_own["b"].weight[1] = torch.tensor(4.0).log()
    return block


def test_tasks_blend_their_own_and_the_shared_experts() -> None:
    features = {"a": torch.tensor([0.5, 1.5]).view(1, 1, 1, 2), "b": torch.full((1, 1, 1, 2), 3.0)}
    found, shared = level(True)(features, torch.full((1, 1, 1, 2), 4.0))
    assert shared is None
    # a: x/2 + 10 x/4 + 20/4 with x = 0.5 and 1.5; b: even weights of 6, 60 and 20.
    torch.testing.assert_close(found["a"].flatten(), torch.tensor([6.5, 9.5]))
    torch.testing.assert_close(found["b"].flatten(), torch.full((2,), 86 / 3))


def test_the_shared_gate_blends_all_experts() -> None:
    features = {"a": torch.ones(1, 1, 1, 1), "b": torch.full((1, 1, 1, 1), 3.0)}
    _, shared = level(False)(features, torch.ones(1, 1, 1, 1))
    # Experts give 1, 10, 6, 60 and 5; the fourth has weight 4 / 8, the others 1 / 8.
    torch.testing.assert_close(shared.flatten(), torch.tensor([(1 + 10 + 6 + 4 * 60 + 5) / 8]))
