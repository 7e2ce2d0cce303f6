"""Normals from depth, measured against the analytic normals of rendered rooms."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, maximum_filter, minimum_filter

from mtlbench.datasets.geometry.camera import NYUV2_CAMERA, Camera
from mtlbench.datasets.geometry.normals import normals_from_depth, rounding_step
from mtlbench.datasets.scenes.draw import Draw
from mtlbench.datasets.scenes.render import View, render
from mtlbench.datasets.scenes.room import furnish

SIZE = (480, 640)


@pytest.fixture(scope="module")
def views() -> list[View]:
    return [render(furnish(Draw(21, number)), NYUV2_CAMERA, *SIZE) for number in range(3)]


def kinect(depth: np.ndarray) -> np.ndarray:
    """The first Kinect (7.5 cm, focal length 580): disparity with half a step of noise, in steps of 1/8 pixel."""
    steps = 580 * 0.075 * 8
    noise = np.random.default_rng(0).normal(0, 0.5, depth.shape)
    return (steps / np.rint(steps / depth + noise)).astype(np.float32)


def eight_bit(depth: np.ndarray) -> np.ndarray:
    """256 steps over 10 metres, like the rebuilt data."""
    step = 9.99547 / 255
    return ((np.floor(depth / step) + 0.5) * step).astype(np.float32)


def errors(
    views: list[View], sensor: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, float, np.ndarray, float]:
    """Angles in degrees and the valid share: of all pixels, and of those within 3 pixels of a 5 % jump in depth."""
    angles, valid, at_edges, valid_edges = [], [], [], []
    for view in views:
        normals = normals_from_depth(sensor(view.depth), NYUV2_CAMERA)
        known = (normals != 0).any(0)
        np.testing.assert_allclose(np.linalg.norm(normals[:, known], axis=0), 1, atol=1e-5)
        angle = np.degrees(np.arccos(np.clip((normals * view.normals).sum(0), -1, 1)))
        jump = maximum_filter(view.depth, 3) > 1.05 * minimum_filter(view.depth, 3)
        edge = binary_dilation(jump, np.ones((5, 5)))
        angles.append(angle[known])
        valid.append(known.mean())
        at_edges.append(angle[known & edge])
        valid_edges.append(known[edge].mean())
    return np.concatenate(angles), float(np.mean(valid)), np.concatenate(at_edges), float(np.mean(valid_edges))


# Bounds are measured values with room for other rooms: (mean angle, median, share under 11.25 degrees, valid share,
# share over 30 degrees at depth edges). docs/datasets.md has the measured ones.
CASES = [
    ("exact", lambda depth: depth, 0.05, 0.01, 0.999, 0.88, 0.005),
    ("float16", lambda depth: depth.astype(np.float16), 0.2, 0.03, 0.998, 0.88, 0.01),
    ("kinect", kinect, 1.9, 0.5, 0.97, 0.88, 0.08),
    ("8 bit", eight_bit, 2.5, 0.5, 0.955, 0.88, 0.10),
]


@pytest.mark.parametrize(("name", "sensor", "mean", "median", "near", "share", "wrong"), CASES)
def test_angular_error_against_the_analytic_normals(
    views: list[View], name: str, sensor: Callable, mean: float, median: float, near: float, share: float, wrong: float
) -> None:
    angles, valid, at_edges, valid_edges = errors(views, sensor)
    print(f"{name}: mean {angles.mean():.2f} median {np.median(angles):.2f} <11.25 {np.mean(angles < 11.25):.4f} "
          f"valid {valid:.3f}; edges: >30 {np.mean(at_edges > 30):.3f} valid {valid_edges:.2f}")  # fmt: skip
    assert angles.mean() < mean
    assert np.median(angles) < median
    assert np.mean(angles < 11.25) > near
    assert valid > share
    assert np.mean(at_edges > 30) < wrong


def test_a_tilted_plane_is_exact_and_faces_the_camera() -> None:
    camera, normal = Camera(100, 110, 31.5, 23.5), np.array([0.3, -0.5, -0.8])
    normal /= np.linalg.norm(normal)
    x, y = camera.directions(48, 64)
    depth = -2.0 / (normal[0] * x + normal[1] * y + normal[2])
    result = normals_from_depth(depth, camera)
    assert (result != 0).any(0).all()
    np.testing.assert_allclose(result, np.broadcast_to(normal[:, None, None], result.shape), atol=1e-4)


def test_holes_and_nan_are_invalid_and_do_not_spread() -> None:
    depth = np.full(SIZE, 2.0, np.float32)
    depth[100:140, 200:260], depth[300:320, 400:420] = 0, np.nan
    result = normals_from_depth(depth, NYUV2_CAMERA)
    known = (result != 0).any(0)
    assert not known[100:140, 200:260].any()
    assert not known[300:320, 400:420].any()
    assert known.sum() == depth.size - 40 * 60 - 20 * 20
    np.testing.assert_allclose(result[2][known], -1, atol=1e-5)


def test_nothing_known_gives_nothing() -> None:
    assert not normals_from_depth(np.zeros((20, 30), np.float32), NYUV2_CAMERA).any()


def test_the_rounding_step_is_found() -> None:
    values = np.random.default_rng(0).uniform(1, 5, 5000)
    assert rounding_step(values) == 0
    assert abs(rounding_step(eight_bit(values)) - 9.99547 / 255) < 1e-6
    assert rounding_step(np.full(10, 2.0)) == 0
