import copy

import pytest
import torch
from torch import nn

from mtlbench.training.device import frozen_batchnorm


class _Quadratic(nn.Module):
    """Losses a_t |x - c_t|^2 / 2 of a vector x, other centres for the held-out batch."""

    def __init__(self):
        super().__init__()
        self.x = nn.Parameter(torch.tensor([0.7, -0.4], dtype=torch.float64))
        self.centres = {
            "train": torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64),
            "held_out": torch.tensor([[1.5, 0.5], [0.0, 1.0]], dtype=torch.float64),
        }
        self.curvatures = torch.tensor([1.0, 3.0], dtype=torch.float64)

    def losses_on(self, which):
        return [
            0.5 * a * (self.x - c).square().sum() for a, c in zip(self.curvatures, self.centres[which], strict=True)
        ]


def test_weights_follow_the_exact_gradient_of_the_look_ahead(weighting):
    model, rate = _Quadratic(), 0.1
    method = weighting("auto_lambda", 2, learning_rate=0.01).double()
    seen = []
    method.adam.step = lambda value, gradient: seen.append(gradient)
    before = model.x.detach().clone()
    method.prepare_step(model, model.losses_on, rate)
    assert torch.equal(model.x.detach(), before)
    assert model.x.grad is None

    weights = method.task_weights.clone().requires_grad_()
    slopes = model.curvatures[:, None] * (before - model.centres["train"])
    ahead = before - rate * weights @ slopes
    (0.5 * model.curvatures * (ahead - model.centres["held_out"]).square().sum(1)).sum().backward()
    # The finite difference is exact for quadratic losses, up to rounding divided by its step.
    torch.testing.assert_close(seen[0], weights.grad, rtol=1e-9, atol=1e-12)


def test_weights_start_as_stated_and_move_by_adam(weighting):
    model = _Quadratic()
    method = weighting("auto_lambda", 2).double()
    torch.testing.assert_close(method.task_weights, torch.full((2,), 0.1, dtype=torch.float64), rtol=1e-6, atol=0)
    method.prepare_step(model, model.losses_on, 0.1)
    # Adam's first step has the length of its learning rate.
    assert (method.task_weights - 0.1).abs().tolist() == pytest.approx([1e-4] * 2, rel=1e-2)
    assert torch.equal(method.weights(torch.ones(2)), method.task_weights)


def test_look_ahead_leaves_the_network_as_it_was(weighting):
    """Parameters bit for bit, also those that no loss reaches, and BatchNorm statistics."""
    torch.manual_seed(0)
    body, heads = (
        nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU()),
        nn.ModuleList([nn.Linear(8, 1), nn.Linear(8, 1), nn.Linear(8, 1)]),
    )
    model = nn.ModuleList([body, heads]).train()
    images = {"train": torch.randn(6, 3), "held_out": torch.randn(6, 3)}

    def losses_on(which):
        with frozen_batchnorm(model):
            hidden = body(images[which])
        return [head(hidden).square().mean() for head in list(heads)[:2]]

    state = copy.deepcopy(model.state_dict())
    method = weighting("auto_lambda", 2)
    method.prepare_step(model, losses_on, 0.1)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_parameters_are_restored_after_an_error(weighting):
    model = _Quadratic()
    before = model.x.detach().clone()

    def losses_on(which):
        if which == "held_out":
            raise RuntimeError("no such batch")
        return model.losses_on(which)

    with pytest.raises(RuntimeError, match="no such batch"):
        weighting("auto_lambda", 2).double().prepare_step(model, losses_on, 0.1)
    assert torch.equal(model.x.detach(), before)


def test_famo_second_forward_leaves_batchnorm_alone(weighting):
    """The losses after the step come from a forward pass that must not move the running statistics."""
    torch.manual_seed(0)
    body, heads = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8)), nn.ModuleList([nn.Linear(8, 1), nn.Linear(8, 1)])
    image = torch.randn(6, 3)
    method = weighting("famo", 2)
    losses = [head(body(image)).square().mean() for head in heads]
    method.backward(losses, list(body.parameters()))
    after_first = copy.deepcopy(body[1].state_dict())
    with torch.no_grad(), frozen_batchnorm(body):
        method.after_step(torch.stack([head(body(image)).square().mean() for head in heads]))
    assert all(torch.equal(value, after_first[name]) for name, value in body[1].state_dict().items())
    assert method.adam.steps.item() == 1
