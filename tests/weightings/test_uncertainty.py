import math

import pytest
import torch

from mtlbench.weightings.uncertainty import Uncertainty


def test_gradients_are_those_of_the_total():
    weighting = Uncertainty(["a", "b"], start=0.3)
    parameter = torch.nn.Parameter(torch.tensor([1.5, -0.7]))
    weighting.backward([parameter[0] ** 2, (parameter[0] * parameter[1]) ** 2], [parameter])

    s = weighting.log_variance.detach().clone().requires_grad_()
    p = parameter.detach().clone().requires_grad_()
    losses = torch.stack([p[0] ** 2, (p[0] * p[1]) ** 2])
    (0.5 * torch.exp(-s) * losses + 0.5 * s).sum().backward()
    torch.testing.assert_close(weighting.log_variance.grad, s.grad)
    torch.testing.assert_close(parameter.grad, p.grad)


def test_weights_start_where_the_codes_start():
    loss = torch.ones((), requires_grad=True)
    for start in (-0.5, 0.0):
        weights = Uncertainty(["a", "b"], start=start).backward([loss, loss], [])
        assert weights.tolist() == pytest.approx([0.5 * math.exp(-start)] * 2, rel=1e-6)


def test_learned_log_variance_goes_to_the_log_of_the_loss():
    weighting = Uncertainty(["a", "b"])
    optimiser = torch.optim.SGD(weighting.parameters(), lr=0.5)
    constant = torch.zeros((), requires_grad=True)
    for _ in range(200):
        optimiser.zero_grad()
        weighting.backward([constant + 3.0, constant + 0.2], [])
        optimiser.step()
    expected = torch.tensor([3.0, 0.2]).log()  # d/ds [exp(-s) L + s] = 0
    torch.testing.assert_close(weighting.log_variance.detach(), expected, atol=1e-4, rtol=0)
