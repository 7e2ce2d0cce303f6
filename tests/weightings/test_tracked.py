"""Gradient methods with a memory, against a few lines of their formula on small matrices."""

import pytest
import torch

from mtlbench.weightings._optimise import onto_simplex


def steps(count=4, size=12):
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(3, size, generator=generator, dtype=torch.float64) for _ in range(count)]


LOSSES = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_db_mtl(decay, problem, weighting):
    method = weighting("db_mtl", 3, beta=0.8, beta_decay=decay).double()
    means = torch.zeros(3, 12, dtype=torch.float64)
    for number, rows in enumerate(steps(), start=1):
        gradients = rows / (LOSSES + 1e-8)[:, None]
        share = 0.8 / number**decay
        means = share * means + (1 - share) * gradients
        norms = torch.linalg.vector_norm(means, dim=1)
        expected = (norms.max() / norms) @ means
        torch.testing.assert_close(problem(rows, LOSSES.tolist()).step(method)[0], expected)


@pytest.mark.parametrize("variant", [False, True])
def test_moco(variant, problem, weighting):
    method = weighting("moco", 3, rho=0.1, libmtl_variant=variant).double()
    tracked, shares = torch.zeros(3, 12, dtype=torch.float64), torch.full((3,), 1 / 3, dtype=torch.float64)
    for number, rows in enumerate(steps(), start=1):
        gradients = rows
        if variant:
            gradients = rows / (torch.linalg.vector_norm(rows, dim=1) + 1e-8)[:, None] * LOSSES[:, None]
        tracked = tracked - 0.5 / number**0.5 * (tracked - gradients)
        moved = shares - 0.1 / number**0.5 * (tracked @ tracked.T + 0.1 * torch.eye(3)) @ shares
        shares = torch.softmax(moved, 0) if variant else onto_simplex(moved)
        gradient, weights = problem(rows, LOSSES.tolist()).step(method)
        torch.testing.assert_close(weights, shares)
        torch.testing.assert_close(gradient, shares @ tracked)


def test_excess_mtl(problem, weighting):
    method = weighting("excess_mtl", 3, step_size=0.5).double()
    squares, weights, first = torch.zeros(3, 12, dtype=torch.float64), torch.ones(3, dtype=torch.float64), None
    for rows in steps():
        squares = squares + rows**2
        excess = (rows**2 / (squares + 1e-7).sqrt()).sum(1)
        if first is None:
            first = excess
        else:
            weights = weights * torch.exp(0.5 * excess / first)
            weights = 3 * weights / weights.sum()
        gradient, found = problem(rows).step(method)
        torch.testing.assert_close(found, weights)
        torch.testing.assert_close(gradient, weights @ rows)


def test_ntkmtl_makes_gradients_equally_long(problem, weighting):
    rows = steps(1)[0]
    gradient, weights = problem(rows).step(weighting("ntkmtl", 3).double())
    squares = (rows**2).sum(1)
    torch.testing.assert_close(weights, (squares.sum() / squares).sqrt())
    torch.testing.assert_close(gradient, squares.sum().sqrt() * torch.nn.functional.normalize(rows, dim=1).sum(0))


def test_imtl_balances_scaled_losses(problem, weighting):
    rows = steps(1)[0]
    method = weighting("imtl", 3).double()
    with torch.no_grad():
        method.log_scale.copy_(torch.tensor([0.3, -0.5, 1.0]))
    gradient, weights = problem(rows, LOSSES.tolist()).step(method)
    scales = method.log_scale.detach().exp()
    torch.testing.assert_close(method.log_scale.grad, scales * LOSSES - 1)
    torch.testing.assert_close(gradient, weights @ rows)
    units = torch.nn.functional.normalize(rows, dim=1)
    torch.testing.assert_close(units @ gradient, (units @ gradient).mean().expand(3))
    assert float((weights / scales).sum()) == pytest.approx(1.0)


def test_graddrop_keeps_one_sign_per_coordinate(problem, weighting):
    rows = torch.tensor([[1.0, -2.0, 3.0, 0.0] * 50, [1.0, 2.0, -1.0, 0.0] * 50])
    torch.manual_seed(0)
    gradient, weights = problem(rows).step(weighting("graddrop", 2))
    columns = gradient.reshape(50, 4)
    assert columns[:, 0].unique().tolist() == [2.0]
    assert columns[:, 1].unique().tolist() == [-2.0, 2.0]
    assert columns[:, 2].unique().tolist() == [-1.0, 3.0]
    assert columns[:, 3].unique().tolist() == [0.0]
    # The positive sign of the third column has probability 3/4; 50 draws, standard deviation 0.06.
    assert 0.55 < float((columns[:, 2] > 0).double().mean()) < 0.95
    assert ((weights > 0) & (weights < 1)).all()


def test_gradnorm_starts_after_the_first_epoch(problem, weighting):
    rows = steps(1)[0]
    method = weighting("gradnorm", 3, alpha=1.5).double()
    given = problem(rows, LOSSES.tolist())
    method.begin_epoch(0, [])
    _, weights = given.step(method)
    assert weights.tolist() == [1.0, 1.0, 1.0]
    assert not method.scores.grad.any()

    method.begin_epoch(1, [[1.0, 1.0, 1.0]])
    with torch.no_grad():
        method.scores.copy_(torch.tensor([0.1, -0.2, 0.3]))
    _, weights = given.step(method)
    scores = method.scores.detach().clone().requires_grad_()
    expected = 3 * torch.softmax(scores, 0)
    norms = expected * torch.linalg.vector_norm(rows, dim=1)
    target = (norms.mean() * (LOSSES / LOSSES.mean()) ** 1.5).detach()
    (norms - target).abs().sum().backward()
    torch.testing.assert_close(weights, expected.detach())
    torch.testing.assert_close(method.scores.grad, scores.grad)


def test_gradvac_turns_a_gradient_up_to_its_target(problem, weighting):
    method = weighting("gradvac", 2, beta=1.0).double()
    first = torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    _, weights = problem(first).step(method)
    assert weights.tolist() == [1.0, 1.0]  # cosine 0.71 above the target 0
    second = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]], dtype=torch.float64)
    gradient, _ = problem(second).step(method)
    # Each gradient is turned to 45 degrees of the other: (1, 1) and (2, 2).
    torch.testing.assert_close(gradient, torch.tensor([3.0, 3.0, 0.0, 0.0], dtype=torch.float64))
    assert method.targets[0, 1].item() == pytest.approx(0.0)
