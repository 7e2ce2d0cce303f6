"""MOML's weights against an outer gradient that autograd takes through the look-ahead step."""

import torch
from torch import nn

from mtlbench.weightings._quadratic import min_norm


class _Curved(nn.Module):
    """Losses of a vector x whose gradients depend on it, others on the held-out batch; y belongs to the first."""

    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.tensor([0.7, -0.4, 0.2], dtype=torch.float64))
        self.y = nn.Parameter(torch.tensor([0.3], dtype=torch.float64))
        near = [[1.0, 0.0, 0.0], [0.9, 0.3, 0.0], [0.8, 0.0, 0.2]]  # all held-out losses would have more of task 0
        self.centres = {"train": torch.eye(3).double(), "held_out": torch.tensor(near, dtype=torch.float64)}

    def losses_on(self, which: str, x=None, y=None):
        x, y = self.x if x is None else x, self.y if y is None else y
        losses = [(x - centre).square().sum() ** 1.5 + 0.1 * x.sin().sum() for centre in self.centres[which]]
        return [losses[0] + (y * x[0] - 1).square().sum(), *losses[1:]]


def test_weights_follow_the_exact_gradient_of_all_held_out_losses(weighting) -> None:
    model = _Curved()
    method = weighting("moml", 3, inner_rate=0.2, learning_rate=0.01).double()
    method.logits.copy_(torch.tensor([0.4, -0.3, 0.1]))
    logits = method.logits.clone().requires_grad_()
    seen = []
    method.adam.step = lambda value, gradient: seen.append(gradient)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    method.prepare_step(model, model.losses_on, 0.1)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.x.grad is None

    shares = torch.softmax(logits, 0)
    total = sum(share * loss for share, loss in zip(shares, model.losses_on("train"), strict=True))
    gx, gy = torch.autograd.grad(total, [model.x, model.y], create_graph=True)
    ahead = model.losses_on("held_out", model.x - 0.2 * gx, model.y - 0.2 * gy)
    slopes = torch.stack([torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in ahead])
    wanted = min_norm(slopes @ slopes.T)[0] @ slopes
    torch.testing.assert_close(seen[0], wanted, rtol=1e-9, atol=1e-15)
    # What MGDA gives goes down all of them: no held-out loss rises to first order.
    assert (slopes @ wanted > 1e-6).all()


def test_weights_start_equal_and_move_by_adam(weighting) -> None:
    model = _Curved()
    method = weighting("moml", 3).double()
    assert method.weights(torch.ones(3)).tolist() == [1 / 3] * 3
    method.prepare_step(model, model.losses_on, 0.1)
    moved = method.logits.abs()
    assert moved.max() <= 1.001e-3  # Adam's first step has the length of its learning rate, where there is a gradient
    assert moved.max() > 0.9e-3
    assert abs(float(method.weights(torch.ones(3)).sum()) - 1) < 1e-12
