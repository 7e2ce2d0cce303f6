"""The matrix of gradients."""

import pytest
import torch
from torch import nn

from mtlbench.weightings import GradientRows, _gradients, cosines


@pytest.fixture
def layer() -> nn.ModuleList:
    torch.manual_seed(0)
    return nn.ModuleList([nn.Conv2d(3, 8, 3), nn.Linear(70, 70)]).to(memory_format=torch.channels_last)


def test_rows_hold_the_gradients_and_leave_none_behind(layer):
    parameters = list(layer.parameters())
    rows = GradientRows(parameters, 2)
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    expected = [parameter.grad.clone() for parameter in parameters]
    rows.take(1)
    assert all(parameter.grad is None for parameter in parameters)
    assert not rows.matrix[0].any()
    rows.write(rows.combination(torch.tensor([5.0, 2.0])))
    for parameter, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, 2 * gradient)
        assert parameter.grad.stride() == parameter.stride()


def test_a_parameter_without_gradient_counts_as_zero(layer):
    parameters = list(layer.parameters())
    rows = GradientRows(parameters, 1)
    rows.matrix.fill_(3.0)
    parameters[0].grad = torch.ones_like(parameters[0])
    rows.take(0)
    rows.write(rows.combination(torch.ones(1)))
    assert parameters[0].grad.unique().tolist() == [1.0]
    assert not any(parameter.grad.any() for parameter in parameters[1:])


@pytest.mark.parametrize("piece", [1, 1 << 24])
def test_gram_matrix_in_pieces(piece, layer, monkeypatch):
    monkeypatch.setitem(_gradients._PIECE, "cpu", piece)
    rows = GradientRows(list(layer.parameters()), 3)
    assert rows.matrix.shape[1] == 2 * 4096  # 5194 numbers, padded
    rows.matrix[:, :5194] = torch.randn(3, 5194) * 1e15
    exact = rows.matrix.double() @ rows.matrix.double().T  # beyond the range of float32
    torch.testing.assert_close(rows.gram(), exact, rtol=1e-13, atol=0)
    other = torch.randn_like(rows.matrix)
    expected = other.double() @ rows.matrix.double().T
    torch.testing.assert_close(rows.products(other), expected, rtol=1e-13, atol=1e-13 * float(expected.abs().max()))


def test_new_parameters_get_a_new_matrix(problem, weighting):
    method = weighting("equal", 2)
    method = weighting("upgrad", 2)
    for size in (8, 16, 8):
        rows = torch.randn(2, size)
        gradient, weights = problem(rows).step(method)
        torch.testing.assert_close(gradient, weights @ rows)


def test_unequally_shared_parameters(weighting):
    """A parameter that two of three tasks reach: the third has gradient zero there."""
    both, all_three = nn.Parameter(torch.tensor([1.0])), nn.Parameter(torch.tensor([1.0]))
    losses = [(both * 2 + all_three).sum(), (both * 3 + all_three).sum(), (all_three * 5).sum()]
    weighting("pcgrad", 3).backward(losses, [both, all_three])
    assert both.grad.tolist() == [5.0]
    assert all_three.grad.tolist() == [7.0]


def test_half_precision_parameters_get_gradients_of_their_type(weighting):
    parameter = nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    weighting("upgrad", 2).backward([parameter.sum(), 2 * parameter.sum()], [parameter])
    assert parameter.grad.dtype == torch.bfloat16
    assert parameter.grad.tolist() == [1.5] * 4


def test_cosines_of_a_zero_gradient():
    cosine, norms = cosines(torch.tensor([[4.0, 3.0, 0.0], [3.0, 9.0, 0.0], [0.0, 0.0, 0.0]]))
    assert norms.tolist() == [2.0, 3.0, 0.0]
    assert cosine.tolist() == [[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]
