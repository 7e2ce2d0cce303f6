"""Which normals are left out, by the noise of the map."""

import numpy as np
import pytest

from mtlbench.datasets.geometry.edges import at_edges

SIZE = (60, 80)


def flat() -> np.ndarray:
    """Normals (3, H, W) towards the camera."""
    return np.broadcast_to(np.array([0, 0, -1], np.float32)[:, None, None], (3, *SIZE)).copy()


def residuals(typical: float, spread: float) -> np.ndarray:
    """Log-normal residuals of 1/z, and a patch at 1.5 times the typical one."""
    noise = np.exp(np.random.default_rng(0).normal(0, spread, SIZE)) * typical
    noise[20:30, 20:30] = 1.5 * typical
    return noise


@pytest.mark.parametrize(
    ("typical", "spread", "told"),
    [(2e-3, 0.08, True), (2e-3, 0.7, False), (3e-4, 0.08, True)],
    ids=["even noise", "uneven noise, as of a real sensor", "small and even noise"],
)
def test_a_small_excess_tells_an_edge_where_the_noise_is_the_same_everywhere(
    typical: float, spread: float, told: bool
) -> None:
    wrong = at_edges(flat(), residuals(typical, spread), coarse=False, spacing=1)
    assert wrong[20:30, 20:30].all() == told
    assert wrong[20:30, 20:30].any() == told
    assert wrong.mean() < 0.15


def test_a_large_excess_always_does() -> None:
    noise = residuals(2e-3, 0.7)
    noise[20:30, 20:30] *= 20
    assert at_edges(flat(), noise, coarse=False, spacing=1)[20:30, 20:30].all()


@pytest.mark.parametrize(("spacing", "columns"), [(1.0, range(38, 42)), (2.0, range(39, 41)), (5.0, range(39, 41))])
def test_beside_a_sharp_turn_normals_are_left_out(spacing: float, columns: range) -> None:
    normals = flat()
    normals[:, :, 40:] = np.array([-1, 0, 0], np.float32)[:, None, None]
    wrong = at_edges(normals, np.full(SIZE, 1e-5), coarse=False, spacing=spacing)
    assert set(np.nonzero(wrong.all(0))[0]) == set(columns)
    assert set(np.nonzero(wrong.any(0))[0]) == set(columns)


def test_what_is_invalid_turns_nothing() -> None:
    normals, residual = flat(), np.full(SIZE, 1e-5)
    normals[:, 10:20], residual[10:20] = 0, np.inf
    wrong = at_edges(normals, residual, coarse=True, spacing=1)
    assert wrong[10:20].all()
    assert not wrong[:10].any()
    assert not wrong[20:].any()


def test_of_nothing_everything_is_left_out() -> None:
    assert at_edges(np.zeros((3, *SIZE), np.float32), np.full(SIZE, np.inf), coarse=False, spacing=1).all()
