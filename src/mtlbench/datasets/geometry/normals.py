"""Surface normals from a depth map, as the published ones of NYU Depth V2 were made.

The estimator is the one of the dataset's toolbox (Silberman et al., "Indoor Segmentation and Support Inference from
RGBD Images", ECCV 2012): a plane through 9 x 9 samples of a 19 x 19 window, those whose depth is within 5 % of the
pixel's. With a sample p = z (X, Y, 1) on the ray of its pixel, it minimises sum (n . p + d)^2 under |n|^2 + d^2 = 1.

For fixed d this is linear: with g = -n / d, sum z^2 (g . (X, Y, 1) - 1/z)^2 is a weighted least-squares plane through
the inverse depths. The constraint turns its normal equations M g = s into (M - lambda) g = s, where lambda is the
smallest eigenvalue. Two solutions, the first with lambda = 0, the second with the residual of the first as lambda,
come within 0.2 degrees of the published maps (docs/datasets.md), so no eigenvectors are needed.

A window over an edge or a crease fits no plane; ``edges.py`` says which pixels are left out.
"""

import numpy as np

from mtlbench.datasets.geometry.camera import Camera
from mtlbench.datasets.geometry.edges import at_edges

#: Rows and columns of a window's samples, in pixels of a map that is 480 high.
OFFSETS = (-9, -6, -3, -1, 0, 1, 3, 6, 9)
#: Share of the pixel's depth by which that of a neighbour on the same surface may differ.
NEAR = 0.05
#: Least number of neighbours.
_FEWEST = 4
#: Coarsely rounded maps (8 bit) are smoothed first: half the width in pixels of a map that is 480 high, and by how many
#: steps a neighbour may differ.
_SMOOTH, _SMOOTH_STEPS = 5, 1.5
#: Pixels that are worked on together: few enough for a processor's cache.
_BLOCK = 1536

Lattice = tuple[np.ndarray, np.ndarray]


def normals_from_depth(depth: np.ndarray, camera: Camera, at: Lattice | None = None) -> np.ndarray:
    """Unit normals (3, H, W) float32 towards the camera from depth (H, W) in metres; (0, 0, 0) = invalid.

    Depths that are 0 or not finite are invalid. ``at`` (rows, columns) asks for the normals (3, rows, columns) of these
    pixels only, which takes less time; what counts as an outlier or a turn is then measured on them.
    """
    rows, columns = at or (np.arange(depth.shape[0]), np.arange(depth.shape[1]))
    z = np.where(np.isfinite(depth) & (depth > 0), depth, 0).astype(np.float32)
    scale = depth.shape[0] / 480
    step = rounding_step(z[z > 0])
    if step:
        z = _smoothed(z, max(1, round(_SMOOTH * scale)), _SMOOTH_STEPS * step)
    offsets = np.unique(np.rint(np.array(OFFSETS) * scale).astype(np.int64))
    right, down = camera.directions(*z.shape)
    reach = int(offsets[-1])
    # One shifted copy for each column of the window, so that its rows are contiguous pieces.
    around = np.pad(z, reach)
    shifted = np.stack([around[:, columns + reach + offset] for offset in offsets])
    result = np.empty((3, len(rows), len(columns)), np.float32)
    residual = np.empty(result.shape[1:], np.float32)
    height = max(1, _BLOCK // len(columns))
    for start in range(0, len(rows), height):
        part = slice(start, start + height)
        window = shifted[:, rows[part] + reach + offsets[:, None]]
        x, y = (direction[np.ix_(rows[part], columns)].ravel() for direction in (right, down))
        n, off = _fit(window, z[np.ix_(rows[part], columns)].ravel(), offsets, camera, x, y)
        result[:, part], residual[part] = n.reshape(result[:, part].shape), off.reshape(residual[part].shape)
    spacing = (rows[-1] - rows[0]) / max(1, len(rows) - 1) / scale
    result[:, at_edges(result, residual, step > 0, max(spacing, 1.0))] = 0
    return result


def rounding_step(values: np.ndarray) -> float:
    """The step between the values of a map in equal, coarse steps; 0 for one with more than 512 distinct values."""
    # A sample is enough to tell, and sorting all values is slow.
    distinct = np.unique(values[:: max(1, len(values) // 65536)])
    if not 1 < len(distinct) <= 512:
        return 0.0
    differences = np.diff(distinct)
    step = float(np.median(differences))
    return step if np.mean(np.abs(differences - step) < 0.05 * step) > 0.5 else 0.0


def _smoothed(z: np.ndarray, radius: int, most: float) -> np.ndarray:
    """Depth (H, W) averaged along columns, then along rows, over the neighbours that differ by less than ``most``."""
    for axis in (0, 1):
        z = np.moveaxis(z, axis, 0)
        around = np.pad(z, ((radius, radius), (0, 0)))
        total, count = np.zeros_like(z), np.zeros_like(z)
        for first in range(2 * radius + 1):
            difference = around[first : first + len(z)] - z
            near = (np.abs(difference) < most) & (around[first : first + len(z)] > 0)
            total += difference * near
            count += near
        z = np.moveaxis(np.where(z > 0, z + total / np.maximum(count, 1), 0), 0, axis)
    return np.ascontiguousarray(z)


def _fit(
    window: np.ndarray, z: np.ndarray, offsets: np.ndarray, camera: Camera, right: np.ndarray, down: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Normals (3, n) and residuals (n,) of 1/z (1/metres, root mean square) of the planes through windows.

    ``window`` (columns, rows, n pixels of the lattice) holds the depths of the samples, ``z`` (n,) those of the pixels;
    ``right`` and ``down`` (n,) are the directions of the pixels' rays. Normals are 0 where too little is known.
    """
    s = window.reshape(len(offsets) ** 2, -1)
    near = (np.abs(s - z) < np.float32(NEAR) * z).astype(np.float32)
    known = (z > 0) & (near.sum(0) >= _FEWEST)
    inverse = (1 / np.where(z > 0, z, 1)).astype(np.float32)
    s = s * near
    # All relative to the pixel: with w = 1/z - 1/z0, the plane is w = a x + b y + c. This keeps float32 exact enough.
    away = near - s * inverse  # z w
    x, y = (grid.ravel() for grid in np.meshgrid(offsets / camera.fx, offsets / camera.fy, indexing="ij"))
    powers = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y]).astype(np.float32)
    moments = (powers @ (s * s)).astype(np.float64)
    sides = (powers[:3] @ (s * away)).astype(np.float64)
    squares = np.einsum("kn,kn->n", away, away).astype(np.float64)
    return _solve(moments, sides, squares, known, inverse.astype(np.float64), right, down)


def _solve(
    moments: np.ndarray,
    sides: np.ndarray,
    squares: np.ndarray,
    known: np.ndarray,
    inverse: np.ndarray,
    right: np.ndarray,
    down: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Normals (3, n) and residuals (n,) from the sums over each window.

    ``moments`` (6, n): z^2 times 1, x, y, xx, xy, yy; ``sides`` (3, n): z^2 w times 1, x, y; ``squares``: z^2 w^2.
    """
    m1, mx, my, mxx, mxy, myy = moments
    s1, sx, sy = sides
    m1 = np.where(known, m1, 1.0)
    eigenvalue = np.zeros_like(squares)
    for _ in range(2):
        # M - lambda T'T in these coordinates, where T turns (a, b, c) into the plane's n in the camera's axes.
        axx, axy = mxx - eigenvalue * (1 + right * right), mxy - eigenvalue * right * down
        ayy, a1 = myy - eigenvalue * (1 + down * down), m1 - eigenvalue
        ax, ay = (mx + eigenvalue * right) / a1, (my + eigenvalue * down) / a1
        lifted = eigenvalue * inverse
        b1 = s1 + lifted
        cxx, cxy, cyy = axx - a1 * ax * ax, axy - a1 * ax * ay, ayy - a1 * ay * ay
        bx, by = sx - lifted * right - ax * b1, sy - lifted * down - ay * b1
        determinant = cxx * cyy - cxy * cxy
        known = known & (determinant > 1e-3 * np.abs(cxx * cyy))
        determinant = np.where(known, determinant, 1.0)
        a, b = (bx * cyy - by * cxy) / determinant, (by * cxx - bx * cxy) / determinant
        c = b1 / a1 - ax * a - ay * b
        n = np.stack([a, b, inverse + c - a * right - b * down])
        length = (n * n).sum(0)
        left = squares - 2 * (a * sx + b * sy + c * s1) + a * (a * mxx + 2 * b * mxy) + b * b * myy
        left = np.maximum(left + c * (c * m1 + 2 * (a * mx + b * my)), 0)
        eigenvalue = left / (1 + length)
    return np.where(known, -n / np.sqrt(length), 0), np.where(known, np.sqrt(left / m1), np.inf)
