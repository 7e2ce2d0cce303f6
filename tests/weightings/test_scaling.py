"""How weights and updates answer to the scale of losses and gradients, and what the papers promise of the update."""

import pytest
import torch

from mtlbench.system.errors import ParamsError

COUNT = 3


@pytest.fixture
def rows() -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    rows = torch.randn(COUNT, 40, generator=generator, dtype=torch.float64)
    return rows - 0.4 * (rows.sum(0) - rows)


@pytest.fixture
def update(problem, weighting):
    """update(name, jacobian, losses, **options): shared gradient and weights of the first step, float64."""

    def run(name, jacobian, losses=(0.5, 1.0, 2.0), **options):
        torch.manual_seed(0)
        method = weighting(name, COUNT, **options).double()
        method.begin_epoch(0, [])
        return problem(jacobian, losses).step(method)

    return run


def direction(vector):
    return vector / torch.linalg.vector_norm(vector)


@pytest.mark.parametrize("name", ["si", "stch", "db_mtl", "nash_mtl"])
def test_update_does_not_depend_on_the_scale_of_a_loss(name, rows, update):
    scales = torch.tensor([0.01, 1.0, 30.0], dtype=torch.float64)
    plain, _ = update(name, rows)
    scaled, _ = update(name, rows * scales[:, None], [0.5 * 0.01, 1.0, 2.0 * 30.0])
    # 1e-5: db_mtl adds 1e-8 to losses of 0.005.
    torch.testing.assert_close(scaled, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["gls", "famo", "imtl_g", "ntkmtl", "config"])
def test_direction_does_not_depend_on_the_scale_of_a_loss(name, rows, update):
    scales = torch.tensor([0.01, 1.0, 30.0], dtype=torch.float64)
    plain, _ = update(name, rows)
    scaled, _ = update(name, rows * scales[:, None], [0.5 * 0.01, 1.0, 2.0 * 30.0])
    # 1e-5: famo adds 1e-8 to losses of 0.005.
    torch.testing.assert_close(direction(scaled), direction(plain), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
@pytest.mark.parametrize(
    "name",
    [
        "mgda",
        "cagrad",
        "config",
        "dual_projection",
        "pcgrad",
        "gradvac",
        "graddrop",
        "imtl_g",
        "aligned_mtl",
        "upgrad",
        "sdmgrad",
        "ntkmtl",
    ],
)
def test_weights_do_not_depend_on_a_common_scale(name, factor, rows, update):
    torch.testing.assert_close(update(name, factor * rows)[1], update(name, rows)[1], rtol=1e-7, atol=1e-9)


def test_fairgrad_scales_as_its_equation(rows, update):
    # K w = w^(-1/alpha) with K times s^2 gives w times s^(-2 alpha / (1 + alpha)).
    torch.testing.assert_close(update("fairgrad", 10 * rows)[1], update("fairgrad", rows)[1] * 10 ** (-4 / 3))


@pytest.mark.parametrize("name", ["mgda", "upgrad", "nash_mtl", "fairgrad", "imtl_g", "config", "dual_projection"])
def test_update_conflicts_with_no_task(name, rows, update):
    gradient, _ = update(name, rows)
    assert (rows @ gradient > -1e-9 * torch.linalg.vector_norm(gradient)).all()


def test_large_cagrad_radius_conflicts_with_no_task(rows, update):
    # For c >= 1 the ball holds the minimum-norm direction.
    gradient, _ = update("cagrad", rows, c=2.0)
    assert (rows @ gradient > -1e-9).all()


def test_cagrad_stays_in_its_ball(rows, update):
    mean = rows.mean(0)
    for c in (0.0, 0.4, 0.9):
        gradient, _ = update("cagrad", rows, c=c, factor="paper")
        distance = torch.linalg.vector_norm(gradient - mean)
        torch.testing.assert_close(distance, c * torch.linalg.vector_norm(mean), rtol=1e-9, atol=1e-12)


def test_cagrad_factors(rows, update):
    paper = update("cagrad", rows, factor="paper")[0]
    torch.testing.assert_close(update("cagrad", rows, factor="libmtl")[0], paper / (1 + 0.4**2))
    torch.testing.assert_close(update("cagrad", rows, factor="authors")[0], COUNT * paper / (1 + 0.4**2))


def test_imtl_g_projects_equally(rows, update):
    gradient, weights = update("imtl_g", rows * torch.tensor([[1.0], [10.0], [0.1]]))
    units = torch.nn.functional.normalize(rows, dim=1)
    torch.testing.assert_close(units @ gradient, (units @ gradient).mean().expand(COUNT))
    assert float(weights.sum()) == pytest.approx(1.0, abs=1e-12)


def test_config_has_equal_cosines_and_the_stated_length(rows, update):
    rows = rows * torch.tensor([[1.0], [10.0], [0.1]])
    gradient, _ = update("config", rows)
    found = torch.nn.functional.normalize(rows, dim=1) @ direction(gradient)
    torch.testing.assert_close(found, found.mean().expand(COUNT))
    torch.testing.assert_close(torch.linalg.vector_norm(gradient), (rows @ direction(gradient)).sum())


def test_config_by_hand(problem, weighting):
    """Gradients (1, 0) and (0, 2): the diagonal, of length (1 + 2) / sqrt(2), so (1.5, 1.5)."""
    gradient, weights = problem([[1.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]]).step(weighting("config", 2))
    torch.testing.assert_close(gradient, torch.tensor([1.5, 1.5, 0.0, 0.0]))
    assert weights.tolist() == pytest.approx([1.5, 0.75])


def test_dual_projection_by_hand(problem, weighting):
    """The mean of (4, 0) and (-2, 2), (1, 1), conflicts with neither; that of (4, 0) and (-2, 0.4) with the second."""
    calm = problem([[4.0, 0.0, 0.0, 0.0], [-2.0, 2.0, 0.0, 0.0]]).step(weighting("dual_projection", 2))
    assert calm[1].tolist() == [0.5, 0.5]
    gradient, weights = problem([[4.0, 0.0, 0.0, 0.0], [-2.0, 0.4, 0.0, 0.0]]).step(weighting("dual_projection", 2))
    # The mean (1, 0.2) has the product -1.92 with the second, whose square is 4.16.
    assert weights.tolist() == pytest.approx([0.5, 0.5 + 1.92 / 4.16])
    assert gradient.tolist() == pytest.approx([1 - 2 * 1.92 / 4.16, 0.2 + 0.4 * 1.92 / 4.16, 0.0, 0.0])


def test_nash_mtl_has_the_length_of_the_cut(rows, update):
    assert float(torch.linalg.vector_norm(update("nash_mtl", rows)[0])) == pytest.approx(1.0, rel=1e-6)
    free = update("nash_mtl", rows, max_norm=0.0)[0]
    assert float(torch.linalg.vector_norm(free)) == pytest.approx(COUNT**0.5, rel=1e-6)


def test_aligned_mtl_makes_components_equally_long(rows, update):
    _, weights = update("aligned_mtl", rows)
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    balance = values[0].sqrt() * vectors @ torch.diag(values.rsqrt()) @ vectors.T
    torch.testing.assert_close(torch.linalg.eigvalsh(balance @ rows @ rows.T @ balance), values[:1].expand(COUNT))
    torch.testing.assert_close(weights, balance.sum(1))


def test_pcgrad_without_conflict_is_the_sum(problem, weighting):
    given = problem([[1.0, 0.0, 0.0, 0.0], [0.125, 1.0, 0.0, 0.0]])
    gradient, weights = given.step(weighting("pcgrad", 2))
    assert weights.tolist() == [1.0, 1.0]
    assert gradient.tolist() == [1.125, 1.0, 0.0, 0.0]


def test_pcgrad_draws_the_order(rows, update, problem, weighting):
    updates = set()
    for seed in range(20):
        torch.manual_seed(seed)
        updates.add(tuple(problem(rows).step(weighting("pcgrad", COUNT))[1].tolist()))
    assert len(updates) > 1


def test_mgda_normalisations_change_only_the_weights(rows, update):
    scales = torch.tensor([1.0, 5.0, 0.2], dtype=torch.float64)[:, None]
    # l2: the weights are those of the unit gradients, applied to the gradients as they are.
    weights = update("mgda", torch.nn.functional.normalize(rows, dim=1))[1]
    gradient, found = update("mgda", scales * rows, normalisation="l2")
    torch.testing.assert_close(found, weights, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(gradient, weights @ (scales * rows), rtol=1e-7, atol=1e-9)
    by_loss = update("mgda", rows * torch.tensor([[0.5], [1.0], [2.0]]), normalisation="loss")[1]
    torch.testing.assert_close(by_loss, update("mgda", rows)[1], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["mgda", "cagrad", "upgrad", "dual_projection"])
def test_exact_solvers_name_their_limit(name, weighting):
    from mtlbench.system.errors import ParamsError

    with pytest.raises(ParamsError, match="at most 12 tasks, found 13"):
        weighting(name, 13)


@pytest.mark.parametrize("name", ["nash_mtl", "fairgrad", "config"])
def test_a_failed_solve_is_reported(name, problem, weighting):
    """Opposite gradients: no solution exists. The update is then (nearly) zero, and the log says so."""
    row = torch.randn(12, dtype=torch.float64)
    method = weighting(name, 2).double()
    gradient, weights = problem(torch.stack([row, -row])).step(method)
    assert float(method.logs()["solver_failed"]) == 1.0
    assert weights.isfinite().all()
    assert gradient.abs().max() < 1e-9 * row.abs().max()
    problem(torch.randn(2, 12, dtype=torch.float64)).step(method)
    assert float(method.logs()["solver_failed"]) == 0.0


def test_pcd_by_hand(problem, weighting):
    # Lengths 4 and 8^0.5 become 1; the second task needs 0.02 of its own progress, where the first gives -0.5^0.5.
    method = weighting("pcd", 2)
    gradient, _ = problem([[4.0, 0.0, 0.0, 0.0], [-2.0, 2.0, 0.0, 0.0]]).step(method)
    unit = torch.tensor([0.5**0.5, 0.5**0.5, 0.0, 0.0]) * torch.tensor([-1.0, 1.0, 0.0, 0.0])
    wanted = torch.tensor([1.0, 0.0, 0.0, 0.0]) + (0.02 + 0.5**0.5) * unit
    torch.testing.assert_close(gradient, 4 * wanted / wanted.norm())
    calm, _ = problem([[4.0, 0.0, 0.0, 0.0], [1.0, 2.0, 0.0, 0.0]]).step(weighting("pcd", 2))
    torch.testing.assert_close(calm, torch.tensor([4.0, 0.0, 0.0, 0.0]))


def test_pcd_drops_constraints_that_exclude_each_other(problem, weighting):
    method = weighting("pcd", 3, tau=0.1, primary="task1")
    rows = [[1.0, 0.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0]]
    gradient, _ = problem(rows).step(method)
    torch.testing.assert_close(gradient, torch.tensor([0.0, 3.0, 0.0, 0.0]))
    assert method.logs()["solver_failed"] == 1


def test_pcd_names_its_main_task(weighting):
    with pytest.raises(ParamsError, match="expected primary to be one of task0, task1, found 'depth'"):
        weighting("pcd", 2, primary="depth")
