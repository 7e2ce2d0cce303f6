"""FORUM against the joint problem by SLSQP, and a whole step against autograd through plain inner steps."""

import numpy as np
import torch
from scipy.optimize import minimize
from torch import nn

from mtlbench.weightings._quadratic import constrained_min_norm


def joint_optimum(vectors: np.ndarray, q: np.ndarray, rho: float) -> tuple[float, np.ndarray]:
    """min of |v_a + n q|^2 - rho |q|^2 n over the simplex and n >= max(pi . a, 0), both of them variables; and a."""
    square = q @ q
    pi = rho - vectors @ q / square
    rules = (
        {"type": "eq", "fun": lambda x: x[:-1].sum() - 1},
        {"type": "ineq", "fun": lambda x: x[-1] - pi @ x[:-1]},
    )

    def value(x):
        moved = x[:-1] @ vectors + x[-1] * q
        return moved @ moved - rho * square * x[-1]

    starts = [np.full(len(vectors), 1 / len(vectors)), *np.eye(len(vectors))]
    found = [
        minimize(value, [*start, max(pi @ start, 0) + 0.1], method="SLSQP", constraints=rules,
                 bounds=[(0, None)] * (len(vectors) + 1), options={"ftol": 1e-15, "maxiter": 500})
        for start in starts
    ]  # fmt: skip
    best = min(found, key=lambda one: one.fun)
    return float(best.fun), best.x[:-1]


def test_the_problem_is_solved_exactly() -> None:
    random = np.random.default_rng(3)
    active = []
    for case in range(30):
        count, rho = 2 + case % 3, (0.1, 0.5)[case % 2]
        vectors = random.normal(size=(count, 6)) + random.normal(size=6) * random.uniform(0, 2)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        q = (random.normal(size=6) + vectors.sum(0) * random.uniform(-2, 2)) * 10 ** random.uniform(-1, 0.5)
        given = [torch.from_numpy(np.asarray(value)) for value in (vectors @ vectors.T, vectors @ q, q @ q)]
        shares, failed = constrained_min_norm(*given, rho)
        assert not failed
        assert abs(float(shares.sum()) - 1) < 1e-12
        assert float(shares.min()) >= 0
        n = max(float(shares.numpy() @ (rho - vectors @ q / (q @ q))), 0.0)
        moved = shares.numpy() @ vectors + n * q
        ours, (wanted, _) = moved @ moved - rho * (q @ q) * n, joint_optimum(vectors, q, rho)
        assert abs(ours - wanted) < 1e-7 * max(1.0, abs(wanted)), case
        active.append(n > 1e-9)
    assert any(active)
    assert not all(active)


class _Curved(nn.Module):
    """Three losses of a vector x; y belongs to the first alone."""

    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.tensor([0.7, -0.4, 0.2], dtype=torch.float64))
        self.y = nn.Parameter(torch.tensor([0.3], dtype=torch.float64))

    def losses(self, x, y):
        centres = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.3], [0.2, 0.0, 1.0]], dtype=torch.float64)
        losses = [(x - centre).square().sum() ** 1.5 + 0.1 * x.sin().sum() for centre in centres]
        return torch.stack([losses[0] + (y * x[0] - 1).square().sum(), *losses[1:]])

    def losses_on(self, which: str) -> list[torch.Tensor]:
        assert which == "train"
        return list(self.losses(self.x, self.y))


def plain(model: _Curved, logits: torch.Tensor, rho: float, rate: float, steps: int):
    """(gradients of the losses, of length 1, q of the network, q of the logits), by autograd and plain descent."""
    logits = logits.clone().requires_grad_()
    x, y = (value.detach().clone().requires_grad_() for value in (model.x, model.y))
    rows = [torch.cat(torch.autograd.grad(loss, (x, y), retain_graph=True)) for loss in model.losses(x, y)]
    ahead = [x, y]
    for _ in range(steps):
        total = torch.softmax(logits, 0).detach() @ model.losses(*ahead)
        moved = torch.autograd.grad(total, ahead)
        ahead = [(a - rate * g).detach().requires_grad_() for a, g in zip(ahead, moved, strict=True)]
    gap = torch.softmax(logits, 0) @ (model.losses(x, y) - model.losses(*ahead).detach())
    of_x, of_y, of_logits = torch.autograd.grad(gap, (x, y, logits))
    units = torch.stack([row / row.norm() for row in rows])
    return torch.stack(rows), units, torch.cat([of_x, of_y]), of_logits


def test_a_step_moves_as_the_bilevel_problem_says(weighting) -> None:
    model = _Curved()
    method = weighting("forum", 3, rho=1.5, inner_rate=0.05, inner_steps=3).double()
    method.logits.copy_(torch.tensor([0.4, -0.3, 0.1]))
    seen = []
    method.adam.step = lambda value, gradient: seen.append(gradient)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rows, units, q, q_logits = plain(model, method.logits, 1.5, 0.05, 3)
    both = torch.cat([q_logits, q]).numpy()
    wide = np.concatenate([np.zeros((3, 3)), units.numpy()], axis=1)
    best = joint_optimum(wide, both, 1.5)[1]
    shares = np.zeros(3)
    for epoch, rate in ((0, 1.0), (1, 2**-0.75)):
        method.begin_epoch(epoch, [])
        method.prepare_step(model, model.losses_on, 0.1)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert model.x.grad is None
        shares += rate * (best - shares)
        n = max(shares @ (1.5 - wide @ both / (both @ both)), 0.0)
        assert n > 0.01
        wanted = torch.from_numpy(shares) @ units + n * q
        # SLSQP finds the shares to about 1e-7.
        torch.testing.assert_close(method.weights(torch.ones(3)) @ rows, wanted, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(seen[-1], n * q_logits, rtol=1e-5, atol=1e-7)


def test_any_size_of_the_losses_gives_finite_weights(weighting) -> None:
    model = _Curved()
    for scale in (0.0, 1e-12, 1e12):
        method = weighting("forum", 3).double()
        method.prepare_step(model, lambda which, scale=scale: [scale * loss for loss in model.losses_on(which)], 0.1)
        weights = method.weights(torch.ones(3))
        assert weights.isfinite().all()
        assert weights.max() < 1e9
        assert method.logits.isfinite().all()


def test_a_loss_that_is_not_finite_moves_no_weight(weighting) -> None:
    model = _Curved()
    method = weighting("forum", 3).double()
    method.prepare_step(model, lambda which: [loss * torch.nan for loss in model.losses_on(which)], 0.1)
    assert method.weights(torch.ones(3)).tolist() == [1 / 3] * 3
    assert not method.logits.any()
