"""The gate that chooses experts."""

import pytest
import torch

from mtlbench.models.blocks.selection import Selection, smooth_step


@pytest.mark.parametrize(("experts", "selectors"), [(2, 1), (4, 2), (8, 3)])
def test_weights_are_a_mean_of_choices(experts: int, selectors: int) -> None:
    gate = Selection(6, experts, selectors, 1.0).double()
    weights = gate(torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(weights.sum(1), torch.ones(5, dtype=torch.float64))
    assert (weights > 0).all()
    # The start is near the middle of the step: all experts alike.
    torch.testing.assert_close(weights, torch.full_like(weights, 1 / experts), rtol=0.3, atol=0)


def test_saturated_selectors_choose_single_experts() -> None:
    """Digits 1, 0, 1 and 0, 1, 1: the experts 5 and 3, each with the share of its selector, all others exactly 0."""
    gate = Selection(1, 8, 2, 0.5).double()
    with torch.no_grad():
        for layer in (gate.digits, gate.shares):
            layer.weight.zero_()
        gate.digits.bias.copy_(torch.tensor([0.25, -0.25, 9.0, -1.0, 0.3, 0.25]))
        gate.shares.bias.copy_(torch.tensor([3.0, 1.0]).log())
    expected = torch.zeros(1, 8, dtype=torch.float64)
    expected[0, 5], expected[0, 3] = 0.75, 0.25
    weights = gate(torch.zeros(1, 1, dtype=torch.float64))
    torch.testing.assert_close(weights, expected)
    assert int((weights > 0).sum()) == 2


def test_smooth_step_is_the_cubic_between_its_ends() -> None:
    x = torch.tensor([-2.0, -0.5, -0.2, 0.0, 0.3, 0.5, 7.0], dtype=torch.float64)
    inside = 0.5 + 1.5 * x - 2 * x**3
    expected = torch.where(x <= -0.5, 0.0, torch.where(x >= 0.5, 1.0, inside))
    torch.testing.assert_close(smooth_step(x), expected)
    assert smooth_step(x)[[0, 1, 5, 6]].tolist() == [0.0, 0.0, 1.0, 1.0]
