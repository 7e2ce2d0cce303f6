"""Normals from depth, measured against published maps and the analytic normals of rendered rooms."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mtlbench.datasets.geometry.camera import NYUV2_CAMERA, Camera
from mtlbench.datasets.geometry.normals import NEAR, OFFSETS, normals_from_depth, rounding_step
from mtlbench.datasets.geometry.resize import nearest_pixels

SIZE = (480, 640)


@pytest.fixture(scope="module")
def bench(repository: Path) -> ModuleType:
    """The module benchmarks/normals.py: views, sensors and errors."""
    spec = importlib.util.spec_from_file_location("normals_bench", repository / "benchmarks/normals.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def published(shared: Path, bench: ModuleType) -> list:
    """Two maps of the archive with the float depth that they were made from."""
    return list(bench.published_views(shared / "data" / "nyuv2_normals"))


@pytest.fixture(scope="module")
def rooms(bench: ModuleType) -> list:
    return list(bench.room_views(3))


def test_the_published_maps_come_out_of_their_depth(published: list, bench: ModuleType) -> None:
    """The goals were 97 % covered, a median of 2.1 degrees, 88 % below 11.25; the archive's 8 bits alone give 0.2."""
    for view in published:
        found = bench.errors([view], bench.as_it_is)
        print(f"{view.name}: {found.cover:.4f} {found.angles.mean():.2f} {np.median(found.angles):.3f}")
        assert found.cover >= 0.97
        assert np.median(found.angles) < 0.3
        assert np.mean(found.angles < 11.25) > 0.97
        assert found.angles.mean() < 1.2


def test_8_bit_depth_has_its_own_setting(published: list, bench: ModuleType) -> None:
    found = bench.errors(published, bench.eight_bit)
    assert found.cover > 0.91
    assert np.median(found.angles) < 4.5
    assert np.mean(found.angles < 11.25) > 0.83


# Of three rooms, with room for other rooms: from one room to the next `cover` differs by 0.1. (mean angle, median,
# share under 11.25 degrees, covered share, share over 30 degrees at depth edges, covered share there.)
CASES = [
    ("as_it_is", 0.1, 0.01, 0.999, 0.70, 0.005, 0.5),
    ("float16", 0.3, 0.12, 0.995, 0.70, 0.03, 0.5),
    ("kinect", 4.2, 2.8, 0.955, 0.74, 0.06, 0.45),
    ("eight_bit", 3.3, 1.3, 0.94, 0.78, 0.12, 0.45),
]


@pytest.mark.parametrize(("sensor", "mean", "median", "near", "cover", "wrong", "edges"), CASES)
def test_edges_are_invalid_rather_than_wrong_in_rooms(
    rooms: list, bench: ModuleType, sensor: str, mean: float, median: float, near: float, cover: float, wrong: float,
    edges: float,
) -> None:  # fmt: skip
    found = bench.errors(rooms, getattr(bench, sensor))
    print(f"{sensor}: mean {found.angles.mean():.2f} median {np.median(found.angles):.2f} "
          f"<11.25 {np.mean(found.angles < 11.25):.4f} cover {found.cover:.3f}; "
          f"edges: >30 {np.mean(found.edge_angles > 30):.3f} cover {found.edge_cover:.3f}")  # fmt: skip
    assert found.angles.mean() < mean
    assert np.median(found.angles) < median
    assert np.mean(found.angles < 11.25) > near
    assert found.cover > cover
    assert np.mean(found.edge_angles > 30) < wrong
    assert found.edge_cover < edges


# Of twenty rooms of a seed that neither the rule nor its numbers have seen: the measured values (docs/datasets.md) with
# a hundredth of room, as other processors round otherwise.
FRESH = [
    ("as_it_is", 0.02, 0.01, 0.999, 0.79, 0.01, 0.38),
    ("float16", 0.13, 0.1, 0.999, 0.777, 0.01, 0.37),
    ("kinect", 3.8, 2.75, 0.965, 0.81, 0.045, 0.32),
    ("eight_bit", 3.2, 1.05, 0.94, 0.833, 0.092, 0.285),
]


@pytest.fixture(scope="module")
def fresh(bench: ModuleType) -> list:
    return list(bench.room_views(20, seed=2027))


@pytest.mark.slow
@pytest.mark.parametrize(("sensor", "mean", "median", "near", "cover", "wrong", "edges"), FRESH)
def test_fresh_rooms_come_out_as_documented(
    fresh: list, bench: ModuleType, sensor: str, mean: float, median: float, near: float, cover: float, wrong: float,
    edges: float,
) -> None:  # fmt: skip
    found = bench.errors(fresh, getattr(bench, sensor))
    assert found.angles.mean() < mean
    assert np.median(found.angles) < median
    assert np.mean(found.angles < 11.25) > near
    assert found.cover > cover
    assert np.mean(found.edge_angles > 30) < wrong
    assert found.edge_cover < edges


def by_eigenvectors(depth: np.ndarray, camera: Camera, row: int, column: int) -> np.ndarray:
    """The toolbox's definition at one pixel: the eigenvector of the least eigenvalue of the points (x, y, z, 1)."""
    rows, columns = (grid.ravel() for grid in np.meshgrid(row + np.array(OFFSETS), column + np.array(OFFSETS)))
    rows, columns = rows.clip(0, SIZE[0] - 1), columns.clip(0, SIZE[1] - 1)
    right, down = camera.directions(*depth.shape)
    z = depth[rows, columns].astype(np.float64)
    points = np.stack([right[rows, columns] * z, down[rows, columns] * z, z, np.ones_like(z)])
    points = points[:, np.abs(z - depth[row, column]) < NEAR * depth[row, column]]
    n = np.linalg.eigh(points @ points.T)[1][:3, 0]
    return -n / np.linalg.norm(n) * np.sign(n @ [right[row, column], down[row, column], 1])


def test_two_linear_solutions_find_the_eigenvector(rooms: list, bench: ModuleType) -> None:
    depth = bench.kinect(rooms[0].depth)
    normals = normals_from_depth(depth, NYUV2_CAMERA)
    chosen = [(row, column) for row in range(20, 460, 40) for column in range(20, 620, 40) if normals[2, row, column]]
    assert len(chosen) > 100
    angles = [
        np.degrees(np.arccos(np.clip(normals[:, r, c] @ by_eigenvectors(depth, NYUV2_CAMERA, r, c), -1, 1)))
        for r, c in chosen
    ]
    assert np.median(angles) < 0.03
    assert np.percentile(angles, 95) < 0.3


def test_a_lattice_gives_the_same_normals(rooms: list) -> None:
    rows, columns = nearest_pixels(SIZE, (96, 128))
    part = normals_from_depth(rooms[1].depth, NYUV2_CAMERA, (rows, columns))
    whole = normals_from_depth(rooms[1].depth, NYUV2_CAMERA)[:, rows[:, None], columns]
    both = (part != 0).any(0) & (whole != 0).any(0)
    np.testing.assert_allclose(part[:, both], whole[:, both], atol=1e-4)
    # What is an outlier is measured on other pixels.
    assert ((part != 0).any(0) == (whole != 0).any(0)).mean() > 0.98


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


def test_the_rounding_step_is_found(bench: ModuleType) -> None:
    values = np.random.default_rng(0).uniform(1, 5, 5000)
    assert rounding_step(values) == 0
    assert abs(rounding_step(bench.eight_bit(values)) - 9.99547 / 255) < 1e-6
    assert rounding_step(np.full(10, 2.0)) == 0
    # Few values in unequal steps, as a sensor of disparity gives them, are no rounding.
    assert rounding_step(bench.kinect(values)) == 0
