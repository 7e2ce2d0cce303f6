"""PIVRG: its priorities by hand, its weights by their equation."""

import pytest
import torch


@pytest.fixture
def gram() -> torch.Tensor:
    rows = torch.randn(3, 12, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return rows @ rows.T


def test_priorities_by_hand(weighting):
    """Far apart, the first is twice the last; within 10 ln 2 of each other they follow the softmax of z / 10."""
    method = weighting("pivrg", 3)
    method.judge([20.0, 0.0, -5.0])
    powers = torch.tensor([2.0**0.8, 1.0, 2.0**-0.2], dtype=torch.float64)
    torch.testing.assert_close(method.priority, 3 * powers / powers.sum())
    method.judge([5.0, 0.0, 0.0])
    torch.testing.assert_close(method.priority[0] / method.priority[1], torch.tensor(0.5, dtype=torch.float64).exp())
    method.judge([-1.0, -1.0, -1.0])
    assert method.priority.tolist() == [1.0, 1.0, 1.0]


def test_weights_solve_their_equation(weighting, gram):
    method = weighting("pivrg", 3)
    method.judge([30.0, -2.0, 0.0])
    found = method.task_weights(gram, torch.ones(3))
    assert (found > 0).all()
    torch.testing.assert_close(gram @ found, (method.priority / found).sqrt(), rtol=1e-8, atol=0)
    assert method.logs()["solver_failed"] == 0
    assert method.logs()["priority_task0"] == method.priority[0]


def test_without_a_judgement_it_is_fairgrad(weighting, gram):
    plain = weighting("fairgrad", 3).task_weights(gram, torch.ones(3))
    assert torch.equal(weighting("pivrg", 3).task_weights(gram, torch.ones(3)), plain)
