"""Against independent implementations: torchjd, quadratic programmes by quadprog, optima by scipy.

torchjd's aggregators return the combined gradient of a Jacobian. Known differences of its conventions are factors,
stated at each comparison. Everything runs in float64 on random Jacobians whose gradients conflict.
"""

import numpy as np
import pytest
import quadprog
import scipy.optimize
import torch
import torchjd.aggregation as jd
import torchjd.scalarization as jds

from mtlbench.weightings._equations import power_balance
from mtlbench.weightings._quadratic import conflict_averse, dual_cone, min_norm

SEEDS = range(6)


def conflicting(seed: int, count: int = 3, size: int = 40) -> torch.Tensor:
    """Gradients of different lengths that conflict: each contains minus 0.4 times the mean of the others."""
    generator = torch.Generator().manual_seed(1000 * count + seed)
    rows = torch.randn(count, size, generator=generator, dtype=torch.float64)
    rows = rows - 0.4 * (rows.sum(0) - rows) / (count - 1)
    return rows * torch.logspace(-1, 1, count, dtype=torch.float64)[:, None]


@pytest.fixture
def combined(problem, weighting):
    """combined(name, jacobian, **options): the shared gradient of one step."""

    def run(name, rows, **options):
        method = weighting(name, len(rows), **options).double()
        return problem(rows).step(method)[0]

    return run


def close(actual, expected, relative=1e-9):
    """Relative to the length of the expected vector; 1e-9 leaves room for the conditioning of small systems."""
    assert torch.linalg.vector_norm(actual - expected) <= relative * torch.linalg.vector_norm(expected)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [2, 3, 5])
def test_mgda(seed, count, combined):
    rows = conflicting(seed, count)
    # torchjd's Frank-Wolfe stops at steps below 1e-3; with 2 tasks it is exact.
    oracle = jd.MGDA(epsilon=1e-9, max_iters=20000)(rows)
    close(combined("mgda", rows), oracle, 1e-9 if count == 2 else 1e-2)


@pytest.mark.parametrize("seed", SEEDS)
def test_pcgrad(seed, combined):
    # Two tasks: the drawn order has no influence.
    rows = conflicting(seed, 2)
    close(combined("pcgrad", rows), jd.PCGrad()(rows))


@pytest.mark.parametrize("seed", SEEDS)
def test_gradvac(seed, problem, weighting):
    # Two tasks, several steps: the targets move. torchjd adds 1e-8 to denominators.
    oracle, method = jd.GradVac(beta=0.3), weighting("gradvac", 2, beta=0.3)
    for step in range(4):
        rows = conflicting(10 * seed + step, 2)
        if step % 2:
            rows[0] += rows[1]
        close(problem(rows).step(method)[0], oracle(rows), 1e-6)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("count", "tau"), [(2, 0.02), (3, 0.3), (5, 1.0)])
def test_pcd(seed, count, tau, problem, weighting):
    # Several steps with a short memory, so that the running means differ from the squares of the step. torchjd's solver
    # iterates to 1e-8.
    oracle, method = jd.PCD(tau=tau, beta=0.5), weighting("pcd", count, tau=tau, beta=0.5).double()
    for step in range(3):
        rows = conflicting(10 * seed + step, count)
        close(problem(rows).step(method)[0], oracle(rows), 1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_pcd_with_another_main_task(seed, problem, weighting):
    rows = conflicting(seed, 3)
    method = weighting("pcd", 3, tau=0.2, primary="task2").double()
    close(problem(rows).step(method)[0], jd.PCD(tau=0.2)(rows[[2, 0, 1]]), 1e-5)


@pytest.mark.parametrize("leak", [0.0, 0.25])
def test_graddrop(leak, weighting):
    rows = conflicting(0, 3, 400)
    shared = torch.nn.Parameter(torch.zeros(400, dtype=torch.float64))
    torch.manual_seed(5)
    weighting("graddrop", 3, leak=leak).backward([row @ shared for row in rows], [shared])
    torch.manual_seed(5)
    close(shared.grad, jd.GradDrop(leak=torch.full((3,), leak, dtype=torch.float64))(rows))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [2, 3, 5])
def test_imtl_g(seed, count, combined):
    rows = conflicting(seed, count)
    close(combined("imtl_g", rows), jd.IMTLG()(rows), 1e-7)


@pytest.mark.parametrize("scale", ["min", "median", "rmse"])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_aligned_mtl(scale, count, combined):
    rows = conflicting(0, count)
    # torchjd: the mean, so 1/T of the sum.
    close(combined("aligned_mtl", rows, scale=scale), count * jd.AlignedMTL(scale_mode=scale)(rows))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_fairgrad(seed, alpha, combined):
    rows = conflicting(seed)
    # torchjd's least squares stop at a relative tolerance of 1e-8 in the residual.
    close(combined("fairgrad", rows, alpha=alpha), jd.FairGrad(alpha)(rows), 1e-3)


def test_excess_mtl(problem, weighting):
    # torchjd: weights of sum 1 instead of T, an extra 1e-7 in the denominator, and the step with the raw excess at
    # the first call, which moves its weights at once (here: from the second step on). One warm-up step undoes that.
    oracle = jd.ExcessMTL(robust_step_size=0.3, n_warmup_steps=1)
    method = weighting("excess_mtl", 3, step_size=0.3)
    for step in range(4):
        rows = conflicting(step)
        close(problem(rows).step(method)[0], 3 * oracle(rows), 1e-6)


def test_sdmgrad(problem, weighting):
    oracle = jd.SDMGradWeighting(lr=10.0, momentum=0.5, n_iter=20, lambda_=0.3)
    method = weighting("sdmgrad", 3)
    for step in range(3):
        rows = conflicting(step)
        # torchjd gets the matrix of two batches; here both are one. It adds 1e-8 to the scale.
        close(problem(rows).step(method)[0], oracle(rows @ rows.T) @ rows, 1e-6)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [2, 3, 5])
def test_config(seed, count, combined):
    rows = conflicting(seed, count)
    close(combined("config", rows), jd.ConFIG()(rows))


def test_config_of_dependent_gradients(combined):
    """Three gradients in a plane, whose cosine matrix has no inverse: the pseudoinverse of both agrees."""
    rows = torch.zeros(3, 40, dtype=torch.float64)
    rows[:, :2] = torch.tensor([[1.0, 0.2], [-0.4, 2.0], [0.5, 0.5]])
    close(combined("config", rows), jd.ConFIG()(rows))


def test_modo(problem, weighting):
    # torchjd gets the product of the matrices of two batches; here the first is that of the step before.
    oracle, method = jd.MoDoWeighting(gamma=0.02, rho=0.1), weighting("modo", 3, gamma=0.02, rho=0.1)
    before = torch.zeros(3, 40, dtype=torch.float64)
    for step in range(5):
        rows = conflicting(step)
        gradient, weights = problem(rows).step(method)
        torch.testing.assert_close(weights, oracle(before @ rows.T))
        close(gradient, weights @ rows)
        before = rows
    assert (weights - 1 / 3).abs().max() > 0.1, "nothing moved"


@pytest.mark.parametrize("alpha", [0.0, 0.9])
def test_cr_mogm(alpha, problem, weighting):
    oracle = jd.CRMOGMWeighting(jd.IMTLGWeighting(), alpha=alpha)
    method = weighting("cr_mogm", 3, method="imtl_g", alpha=alpha)
    for step in range(4):
        rows = conflicting(step)
        gradient, weights = problem(rows).step(method)
        torch.testing.assert_close(weights, oracle(rows @ rows.T), rtol=1e-7, atol=1e-9)
        close(gradient, weights @ rows)


@pytest.mark.parametrize("name", ["mgda", "cagrad", "imtl_g", "pcgrad"])
def test_cr_mogm_starts_with_the_weights_of_its_method(name, combined):
    rows = conflicting(0)
    torch.manual_seed(0)
    smoothed = combined("cr_mogm", rows, method=name)
    torch.manual_seed(0)
    close(smoothed, combined(name, rows))


# ---------------------------------------------------------------- exact optimisation


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_min_norm_is_the_quadratic_programme(seed, count):
    rows = conflicting(seed, count)
    gram = rows @ rows.T
    constraints = np.vstack([np.ones(count), np.eye(count)]).T
    limits = np.r_[1.0, np.zeros(count)]
    exact = quadprog.solve_qp(gram.numpy(), np.zeros(count), constraints, limits, meq=1)[0]
    weights, failed = min_norm(gram)
    assert not failed
    # 1e-8: the conditioning of the programme (lengths differ by 100) times float64.
    np.testing.assert_allclose(weights.numpy(), exact, atol=1e-8)
    assert weights @ gram @ weights <= exact @ gram.numpy() @ exact * (1 + 1e-12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_upgrad_is_the_quadratic_programme(seed, count, combined):
    """torchjd's own UPGrad needs a package that is not installed here; it regularises by 1e-4 besides."""
    rows = conflicting(seed, count)
    gram = (rows @ rows.T).numpy()
    # The projection of g_t is sum of w_i g_i with w >= e_t, of smallest norm; UPGrad is the mean over t.
    exact = [quadprog.solve_qp(gram, np.zeros(count), np.eye(count), np.eye(count)[task])[0] for task in range(count)]
    close(combined("upgrad", rows), torch.from_numpy(np.mean(exact, axis=0)) @ rows, 1e-7)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_dual_projection_is_the_quadratic_programme(seed, count, combined):
    """torchjd's DualProj needs the package that its UPGrad needs."""
    rows = conflicting(seed, count)
    gram = (rows @ rows.T).numpy()
    # The projection of the mean is sum of w_i g_i with w >= 1/T, of smallest norm.
    exact = quadprog.solve_qp(gram, np.zeros(count), np.eye(count), np.full(count, 1 / count))[0]
    close(combined("dual_projection", rows), torch.from_numpy(exact) @ rows, 1e-7)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [3, 10])
def test_dual_cone_of_dependent_vectors(seed, count):
    """More vectors than dimensions: no unique coefficients, but a unique projection without any conflict."""
    rows = torch.nn.functional.normalize(conflicting(seed, count, 2), dim=1)
    coefficients, failed = dual_cone(rows @ rows.T)
    assert not failed
    assert (coefficients >= 0).all()
    projected = rows + coefficients @ rows
    products = projected @ rows.T
    # Feasible, and optimal by complementarity: what is added is orthogonal to the projection. 1e-5: nearly opposite
    # vectors need coefficients up to 100, which multiply the ridge of 1e-10 and rounding.
    assert products.min() > -1e-5
    assert ((coefficients @ rows) * projected).sum(1).abs().max() < 1e-5


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [2, 3, 6])
@pytest.mark.parametrize("c", [0.2, 0.4, 1.5])
def test_conflict_averse_is_the_minimum(seed, count, c):
    rows = conflicting(seed, count)
    gram = (rows @ rows.T).numpy()
    radius = c * np.sqrt(gram.mean())

    def objective(w):
        return w @ gram.mean(1) + radius * np.sqrt(max(w @ gram @ w, 0.0))

    weights, failed = conflict_averse(torch.from_numpy(gram), c)
    assert not failed
    found = [
        scipy.optimize.minimize(
            objective,
            start,
            bounds=[(0, 1)] * count,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 1000},
        ).x.clip(0)
        for start in [np.full(count, 1 / count), *np.eye(count)]
    ]
    best = min(objective(point / point.sum()) for point in found)
    assert weights.min() >= 0
    assert float(weights.sum()) == pytest.approx(1.0, abs=1e-12)
    # SLSQP, brought back onto the simplex, may only be worse; 1e-12: rounding.
    assert objective(weights.numpy()) <= best + 1e-12 * abs(best)
    assert objective(weights.numpy()) >= best - 1e-3 * abs(best)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_power_balance_solves_its_equation(power, count):
    rows = conflicting(0, count)
    weights, failed = power_balance(rows @ rows.T, power)
    assert not failed
    assert (weights > 0).all()
    torch.testing.assert_close(rows @ (weights @ rows), weights.pow(-power), rtol=1e-6, atol=0)


# ---------------------------------------------------------------- losses


@pytest.mark.parametrize(
    ("name", "oracle"),
    [("uncertainty", jds.UW), ("imtl_l", jds.IMTLL)],
)
def test_learned_scales(name, oracle, weighting):
    ours, theirs = weighting(name, 3, **({"start": 0.0} if name == "uncertainty" else {})), oracle(3)
    ours_optimiser = torch.optim.SGD(ours.parameters(), lr=0.1)
    theirs_optimiser = torch.optim.SGD(theirs.parameters(), lr=0.1)
    for step in range(5):
        values = torch.tensor([0.5, 1.0 + step, 3.0])
        first, second = values.clone().requires_grad_(), values.clone().requires_grad_()
        ours_optimiser.zero_grad()
        ours.backward(list(first.unbind()), [])
        ours_optimiser.step()
        theirs_optimiser.zero_grad()
        theirs(second).backward()
        theirs_optimiser.step()
        torch.testing.assert_close(first.grad, second.grad)


def test_gls(weighting):
    values = torch.tensor([0.5, 1.0, 3.0], requires_grad=True)
    jds.GeometricMean()(values).backward()
    torch.testing.assert_close(weighting("gls", 3).weights(values.detach()), values.grad)


def test_rlw(weighting):
    values = torch.tensor([0.5, 1.0, 3.0], requires_grad=True)
    torch.manual_seed(3)
    jds.Random()(values).backward()
    torch.manual_seed(3)
    torch.testing.assert_close(weighting("rlw", 3).weights(values.detach()), values.grad)
    torch.manual_seed(3)
    torch.testing.assert_close(weighting("rlw", 3, times_tasks=True).weights(values.detach()), 3 * values.grad)


def test_dwa(weighting):
    ours, theirs = weighting("dwa", 2), jds.DWA()
    history = [[4.0, 2.0], [2.0, 2.0], [1.0, 1.5]]
    for epoch in range(4):
        values = torch.tensor([1.0, 1.0], requires_grad=True)
        ours.begin_epoch(epoch, history[:epoch])
        theirs(values).backward()
        torch.testing.assert_close(ours.weights(values.detach()), values.grad)
        theirs.reset() if epoch == 0 else None
        if epoch < 3:
            theirs._loss_sum, theirs._n_batches = torch.tensor(history[epoch]), 1
            theirs.step()


def test_famo(weighting):
    ours, theirs = weighting("famo", 3, weight_decay=0.01), jds.FAMO(3, weight_decay=0.01)
    values = torch.tensor([2.0, 1.0, 0.5])
    for step in range(5):
        after = values * torch.tensor([0.9, 0.99, 0.7 + 0.1 * step])
        second = values.clone().requires_grad_()
        theirs(second).backward()
        torch.testing.assert_close(ours.weights(values), second.grad)
        ours.after_step(after)
        theirs.update(after)
        values = after
    assert ours.logits.argmax() == 1  # the task that fell least gains weight
