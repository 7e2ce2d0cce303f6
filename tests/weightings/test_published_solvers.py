"""The published solver of CAGrad, as benchmarks/solvers.py has it: right for large gradients, not for small ones."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def solvers(repository: Path) -> ModuleType:
    """The module benchmarks/solvers.py."""
    spec = importlib.util.spec_from_file_location("solvers_bench", repository / "benchmarks/solvers.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("added", [0.0, 1e-8])
def test_slsqp_as_published_is_right_where_its_tolerance_is_small(solvers: ModuleType, added: float) -> None:
    """Gradients of length 10: 1e-6 of objectives around 100; flat minima leave the weights less exact (1e-3)."""
    for rows in solvers.gradients(10, 3, seed=1):
        assert solvers.error(solvers.by_slsqp(10 * rows, added), solvers.exact(10 * rows)) < 1e-3


def test_a_small_scale_changes_our_answer_by_nothing_but_the_scale_and_slsqp_s_by_more(solvers: ModuleType) -> None:
    worst = 0.0
    for rows in solvers.gradients(10, 3, seed=1):
        assert solvers.error(solvers.exact(1e-5 * rows), 1e-5 * solvers.exact(rows)) < 1e-9
        worst = max(worst, solvers.error(solvers.by_slsqp(1e-5 * rows, 1e-8), solvers.exact(1e-5 * rows)))
    assert worst > 1


def test_what_solves_the_bargaining_equation_is_told_from_what_does_not(solvers: ModuleType) -> None:
    rows = next(solvers.gradients(1, 3, seed=1))
    names = ["a", "b", "c"]
    right = solvers.NashMTL(names).task_weights(rows @ rows.T, rows.new_ones(3))
    assert not solvers.unsolved(right, rows)
    assert solvers.unsolved(rows.new_ones(3), rows)
