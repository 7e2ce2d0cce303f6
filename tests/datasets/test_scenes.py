"""The ray caster: each solid against marching along the ray, and views against geometry."""

import math

import numpy as np
import pytest

from mtlbench.datasets.geometry.camera import NYUV2_CAMERA, NYUV2_SIZE, Camera
from mtlbench.datasets.scenes.draw import Draw
from mtlbench.datasets.scenes.furniture import CLASSES
from mtlbench.datasets.scenes.render import View, render
from mtlbench.datasets.scenes.room import furnish
from mtlbench.datasets.scenes.solids import Material, Solid, tumbled, turned

PLAIN = Material((0.5, 0.5, 0.5), (0.4, 0.4, 0.4))
SHAPES = [("box", 1.0), ("ellipsoid", 1.0), ("frustum", 1.0), ("frustum", 0.4), ("frustum", 0.0), ("frustum", 1.3)]


def inside(solid: Solid, points: np.ndarray) -> np.ndarray:
    """Whether points (n, 3) are in the solid, from its definition."""
    local = (points - np.array(solid.centre)) @ np.array(solid.rotation).T / np.array(solid.half)
    x, y, z = local.T
    if solid.shape == "box":
        return np.abs(local).max(1) <= 1
    if solid.shape == "ellipsoid":
        return (local**2).sum(1) <= 1
    radius = (1 + solid.taper) / 2 + (1 - solid.taper) / 2 * y
    return (np.abs(y) <= 1) & (x * x + z * z <= radius**2)


@pytest.mark.parametrize(("shape", "taper"), SHAPES)
def test_hits_agree_with_marching_along_the_ray(shape: str, taper: float) -> None:
    draw = Draw(1, 2)
    solid = Solid(shape, (0.3, -0.2, 3.0), (0.5, 0.8, 0.35), 0, PLAIN, draw.tumbled(), taper)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    rays = np.stack([rng.uniform(-0.25, 0.45, 400), rng.uniform(-0.4, 0.25, 400), np.ones(400)])
    found = solid.hit((0.0, 0.0, 0.0), tuple(rays))
    step = 0.002
    steps = np.arange(1.0, 5.0, step)
    hits = np.stack([inside(solid, (rays * t).T) for t in steps])
    expected = np.where(hits.any(0), steps[hits.argmax(0)], np.inf)
    both = np.isfinite(found) & np.isfinite(expected)
    # The march stops at the first step inside, so it is late by at most one step; rays that only graze the
    # solid (less than a step inside) are missed by the march.
    assert both.sum() > 40
    assert np.all((expected[both] - found[both] > -1e-9) & (expected[both] - found[both] <= step + 1e-9))
    assert not np.any(np.isfinite(expected) & ~np.isfinite(found))
    assert np.mean(np.isfinite(found) & ~np.isfinite(expected)) < 0.02


@pytest.mark.parametrize(("shape", "taper"), SHAPES)
def test_normals_are_the_outward_directions_of_the_surface(shape: str, taper: float) -> None:
    solid = Solid(shape, (0.1, 0.1, 2.5), (0.6, 0.5, 0.4), 0, PLAIN, tumbled(0.3, 0.2, 0.9), taper)  # type: ignore[arg-type]
    rng = np.random.default_rng(1)
    rays = np.stack([rng.uniform(-0.3, 0.3, 300), rng.uniform(-0.3, 0.3, 300), np.ones(300)])
    t = solid.hit((0.0, 0.0, 0.0), tuple(rays))
    seen = np.isfinite(t)
    points = rays[:, seen] * t[seen]
    normals = np.stack(solid.normal(solid.local_points(*points)))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=0), 1, atol=1e-12)
    assert np.all((normals * rays[:, seen]).sum(0) < 0)
    # A step outwards leaves the solid and a step inwards enters it, and tangential steps stay near the surface.
    assert not inside(solid, (points + 1e-4 * normals).T).any()
    assert inside(solid, (points - 1e-4 * normals).T).mean() > 0.97  # edges, where a step leaves by another face


def plane_normals(view: View, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Normals from inverse depth by central differences, and where the four neighbours lie in the same plane.

    1/z = a X + b Y + c on a plane, so the differences are exact there: n is -(a, b, c) normalised.
    """
    height, width = view.depth.shape
    inverse = 1 / view.depth
    x, y = camera.directions(height, width)
    a = np.gradient(inverse, axis=1) * camera.fx
    b = np.gradient(inverse, axis=0) * camera.fy
    c = inverse - a * x - b * y
    n = -np.stack([a, b, c])
    n /= np.linalg.norm(n, axis=0)
    flat = np.zeros((height, width), bool)
    offset = (view.normals * np.stack([x, y, np.ones_like(x)]) * view.depth).sum(0)
    both = np.concatenate([view.normals, offset[None]])
    near = [np.abs(np.roll(both, s, axis) - both).max(0) < 1e-9 for s in (-1, 1) for axis in (1, 2)]
    flat[1:-1, 1:-1] = np.logical_and.reduce(near)[1:-1, 1:-1]
    return n, flat


def test_normals_recomputed_from_depth_agree_with_the_analytic_ones() -> None:
    camera = NYUV2_CAMERA.resized(NYUV2_SIZE, (96, 128))
    share = []
    for number in range(6):
        view = render(furnish(Draw(3, number)), camera, 96, 128)
        computed, flat = plane_normals(view, camera)
        angle = np.degrees(np.arccos(np.clip((computed * view.normals).sum(0)[flat], -1, 1)))
        # Exact up to rounding: 1e-16 relative in 1/z, divided by its difference per pixel (about 1e-3), and the
        # arc cosine turns an error e of the cosine into sqrt(2 e).
        assert angle.max() < 1e-3
        share.append(flat.mean())
    assert np.mean(share) > 0.7  # most of a room is flat, so this is no empty test


def test_normals_face_the_camera_and_are_unit_vectors() -> None:
    camera = NYUV2_CAMERA.resized(NYUV2_SIZE, (48, 64))
    x, y = camera.directions(48, 64)
    for number in range(10):
        view = render(furnish(Draw(4, number)), camera, 48, 64)
        np.testing.assert_allclose(np.linalg.norm(view.normals, axis=0), 1, atol=1e-12)
        assert np.all(view.normals[0] * x + view.normals[1] * y + view.normals[2] < 0)
        assert view.depth.min() > 0.1
        assert view.depth.max() < 12


def test_the_mirrored_view_is_the_view_reversed() -> None:
    room, camera = furnish(Draw(5, 1)), NYUV2_CAMERA.resized(NYUV2_SIZE, (48, 64))
    seen = render(room, camera, 48, 64)
    mirrored = render(room, camera.mirrored(64), 48, 64, mirrored=True)
    np.testing.assert_array_equal(mirrored.label, seen.label[:, ::-1])
    np.testing.assert_allclose(mirrored.depth, seen.depth[:, ::-1], rtol=1e-12)
    flipped = seen.normals[:, :, ::-1] * np.array([-1, 1, 1])[:, None, None]
    np.testing.assert_allclose(mirrored.normals, flipped, atol=1e-12)


def test_camera_follows_resizing_and_cropping() -> None:
    # A point stays at the same place of the picture: its position from the left edge, in picture widths.
    camera, point = Camera(500, 510, 320, 250), (0.4, -0.3, 2.0)
    half = camera.resized((480, 640), (120, 320))
    u, v = camera.fx * point[0] / point[2] + camera.cx, camera.fy * point[1] / point[2] + camera.cy
    u2, v2 = half.fx * point[0] / point[2] + half.cx, half.fy * point[1] / point[2] + half.cy
    assert math.isclose((u2 + 0.5) / 320, (u + 0.5) / 640)
    assert math.isclose((v2 + 0.5) / 120, (v + 0.5) / 480)
    cropped = camera.cropped(10, 20)
    assert (cropped.cx, cropped.cy) == (300, 240)


def test_rooms_differ_and_show_every_class() -> None:
    camera = NYUV2_CAMERA.resized(NYUV2_SIZE, (24, 32))
    views = [render(furnish(Draw(6, number)), camera, 24, 32) for number in range(40)]
    shares = np.array([[np.mean(view.label == c) for c in range(13)] for view in views])
    assert (shares.mean(0) > 0.005).all(), dict(zip(CLASSES, shares.mean(0), strict=True))
    depths = np.array([view.depth.mean() for view in views])
    assert depths.std() > 0.3


def test_turned_axes_are_rotations() -> None:
    for rotation in (turned(0.7), tumbled(0.1, 0.6, 0.8)):
        matrix = np.array(rotation)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
        assert math.isclose(np.linalg.det(matrix), 1, abs_tol=1e-12)
