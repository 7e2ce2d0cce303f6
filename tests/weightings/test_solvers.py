"""The small solvers behind the gradient methods; their optima are checked against oracles in test_oracles."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mtlbench.weightings._eigen import symmetric_eigen
from mtlbench.weightings._equations import equal_projections, power_balance
from mtlbench.weightings._optimise import BufferedAdam, onto_simplex, softmax_gradient
from mtlbench.weightings._quadratic import conflict_averse, dual_cone, faces, min_norm

MATRICES = arrays("float64", (4, 3), elements=st.floats(-10, 10, width=32))


@pytest.mark.parametrize("count", [2, 3, 4, 5, 10, 12])
def test_eigenvalues_are_those_of_the_library(count):
    for seed in range(3):
        rows = torch.randn(count, count - seed % 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        matrix = rows @ rows.T
        values, vectors = symmetric_eigen(matrix)
        size = matrix.abs().max()
        torch.testing.assert_close(values.sort().values, torch.linalg.eigvalsh(matrix), rtol=0, atol=1e-13 * size)
        torch.testing.assert_close((vectors * values) @ vectors.T, matrix, rtol=0, atol=1e-13 * size)
        torch.testing.assert_close(vectors.T @ vectors, torch.eye(count, dtype=torch.float64), rtol=0, atol=1e-13)


def test_eigenvalues_of_a_diagonal_matrix_stay():
    values, vectors = symmetric_eigen(torch.diag(torch.tensor([1.0, 2.0, 2.0], dtype=torch.float64)))
    assert values.tolist() == [1.0, 2.0, 2.0]
    assert torch.equal(vectors, torch.eye(3, dtype=torch.float64))


def test_faces_are_all_subsets():
    found = {tuple(row) for row in faces(3, torch.device("cpu")).tolist()}
    assert found == set(itertools.product([False, True], repeat=3)) - {(False,) * 3}


@settings(max_examples=60, deadline=None)
@given(MATRICES)
def test_min_norm_is_optimal_for_any_gradients(values):
    """Optimal on the simplex: no gradient has a smaller product with the combination than its own square."""
    rows = torch.from_numpy(values.copy())
    weights, failed = min_norm(rows @ rows.T)
    assert not failed
    assert weights.min() >= 0
    assert float(weights.sum()) == pytest.approx(1.0, abs=1e-12)
    combined = weights @ rows
    # The gap is relative to the largest square; 1e-7: dependent gradients are solved with a ridge of 1e-10.
    assert (rows @ combined).min() >= combined @ combined - 1e-7 * max(1.0, float((rows @ rows.T).max()))


@settings(max_examples=60, deadline=None)
@given(MATRICES)
def test_solutions_are_finite_for_any_gradients(values):
    rows = torch.from_numpy(values.copy())
    gram = rows @ rows.T
    for weights, _ in (
        conflict_averse(gram, 0.4),
        power_balance(gram, 1.0),
        power_balance(gram, 0.5),
        equal_projections(gram),
    ):
        assert weights.isfinite().all()


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("gap", [1e-2, 1e-4, 1e-6])
def test_power_balance_of_nearly_opposite_gradients(gap, power):
    """Two unit gradients of cosine -1 + gap: by symmetry gap w = w^-power, far from where the iteration starts."""
    gram = torch.tensor([[1.0, gap - 1.0], [gap - 1.0, 1.0]], dtype=torch.float64)
    weights, failed = power_balance(gram, power)
    assert not failed
    # 1e-6: the ridge of 1e-13 relative to a gap of 1e-6, and 1 - gap rounded to float64.
    assert weights.tolist() == pytest.approx([gap ** (-1 / (1 + power))] * 2, rel=1e-6)


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_power_balance_without_solution_stays_moderate(power):
    gram = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
    weights, failed = power_balance(gram, power)
    assert failed
    assert weights.tolist() == pytest.approx([1000.0, 1000.0])


def test_conflict_averse_finds_the_kink():
    """With c > 1 and zero in the hull of the gradients the minimum is g_w = 0, where the objective has no gradient."""
    rows = torch.tensor([[1.0, 0.2], [-1.0, 0.3], [0.1, -1.0]], dtype=torch.float64)
    weights, failed = conflict_averse(rows @ rows.T, 1.5)
    assert not failed
    assert torch.linalg.vector_norm(weights @ rows) < 1e-7


def test_nan_gives_failures_or_nan_never_numbers_that_hide_it():
    gram = torch.full((3, 3), torch.nan, dtype=torch.float64)
    for solve in (min_norm, lambda k: conflict_averse(k, 0.4), dual_cone, lambda k: power_balance(k, 1.0)):
        _, failed = solve(gram)
        assert failed


def test_projection_onto_the_simplex():
    for vector, expected in [
        ([0.2, 0.3, 0.5], [0.2, 0.3, 0.5]),
        ([1.0, 1.0, -5.0], [0.5, 0.5, 0.0]),
        ([3.0, 0.0, 0.0], [1.0, 0.0, 0.0]),
        ([0.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]),
    ]:
        torch.testing.assert_close(onto_simplex(torch.tensor(vector)), torch.tensor(expected))


def test_adam_is_torch_adam():
    value = torch.tensor([0.5, -1.0])
    parameter = torch.nn.Parameter(value.clone())
    adam = BufferedAdam(2, 0.1, 0.01)
    reference = torch.optim.Adam([parameter], lr=0.1, weight_decay=0.01)
    for step in range(5):
        gradient = torch.tensor([1.0 + step, -0.3])
        adam.step(value, gradient)
        parameter.grad = gradient.clone()
        reference.step()
        torch.testing.assert_close(value, parameter.detach())


def test_softmax_gradient_is_that_of_autograd():
    logits = torch.randn(4, requires_grad=True)
    outer = torch.randn(4)
    (torch.softmax(logits, 0) * outer).sum().backward()
    torch.testing.assert_close(softmax_gradient(logits.detach(), outer), logits.grad)
