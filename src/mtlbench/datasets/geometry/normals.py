"""Surface normals from a depth map, invalid where the map does not tell them.

For a plane n . p = d and a point p = z (X, Y, 1) on the ray of a pixel, 1/z = (n . (X, Y, 1)) / d: the inverse
depth is linear in (X, Y), and a triangulating sensor measures it with nearly constant noise (Khoshelham and
Elberink, Sensors 2012). So a least-squares plane through the inverse depths of a window is the right estimate, and
it needs box sums only.

A window must not straddle an edge or a crease. Each pixel therefore takes, of the nine windows that hold it in
their middle, at a border or in a corner, the one that a plane fits best (the selection of Kuwahara et al., 1976).
Windows are tried from large to small, and the first whose fit is as good as the noise allows is taken: large
windows average the noise of walls and floors, small ones follow fine shapes. A pixel is invalid where no window
fits, where it is itself off the plane, and where the normal turns sharply within two pixels, because there the
noise decides which side it is on.
"""

import numpy as np

from mtlbench.datasets.geometry.camera import Camera

#: Half the window sizes that are tried, in pixels of a map that is 480 high.
RADII = (20, 12, 7, 4)
#: How many noise deviations a fit may leave (root mean square) and the pixel itself may be off its plane.
_FIT, _PIXEL = 1.15, 3.0
#: A window off the middle is taken when its residual is below this share of the best so far.
_BETTER = 0.7
#: Least noise of 1/z (1/metres) that is assumed.
_LEAST_NOISE = 2e-5
#: Share of a window that must be valid.
_FILLED = 0.6
#: A sharp turn: the cosine of the angle (20 degrees) between normals ``_TURN_PIXELS`` apart.
_TURN_COSINE, _TURN_PIXELS = 0.93969, 2


def normals_from_depth(depth: np.ndarray, camera: Camera) -> np.ndarray:
    """Unit normals (3, H, W) float32 towards the camera from depth (H, W) in metres; (0, 0, 0) = invalid.

    Depths that are 0 or not finite are invalid. The noise of 1/depth is taken from the map itself: the median
    residual of the smallest windows, plus the rounding of float16 and of maps with few distinct values (8 bit).
    """
    valid = np.isfinite(depth) & (depth > 0)
    z = np.where(valid, depth, 1.0).astype(np.float64)
    inverse = np.where(valid, 1 / z, 0.0)
    right, down = camera.directions(*depth.shape)
    radii = [max(1, round(radius * depth.shape[0] / 480)) for radius in RADII]
    fits = [_fit_planes(inverse, valid, right, down, radius) for radius in radii]
    residuals = fits[-1][1][np.isfinite(fits[-1][1])]
    noise = max(_LEAST_NOISE, float(np.median(residuals))) if residuals.size else _LEAST_NOISE
    rounding = (rounding_step(depth[valid]) / z + np.finfo(depth.dtype).eps) / np.sqrt(12) * inverse
    deviation = np.sqrt(noise**2 + rounding**2)
    result = np.zeros((3, *depth.shape), np.float32)
    missing = valid.copy()
    for radius, (plane, rms) in zip(radii, fits, strict=True):
        chosen, score = _best_window(plane, rms, radius)
        off = np.abs(chosen[0] * right + chosen[1] * down + chosen[2] - inverse)
        good = missing & (score <= _FIT * deviation) & (off <= _PIXEL * deviation)
        coefficients = chosen[:, good]
        result[:, good] = -coefficients / np.sqrt((coefficients * coefficients).sum(0))
        missing &= ~good
    result[:, _sharp_turns(result)] = 0
    return result


def rounding_step(values: np.ndarray) -> float:
    """The step between the values of a coarsely rounded map; 0 for one with more than 512 distinct values."""
    # A sample is enough to tell, and sorting all values is slow.
    distinct = np.unique(values[:: max(1, len(values) // 65536)])
    return float(np.median(np.diff(distinct))) if 1 < len(distinct) <= 512 else 0.0


def _fit_planes(
    w: np.ndarray, valid: np.ndarray, right: np.ndarray, down: np.ndarray, radius: int
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (3, H, W) of w = a X + b Y + c for the window around each pixel, and the fit's RMS residual.

    The residual is inf where too little of the window is valid.
    """
    from scipy.ndimage import uniform_filter  # a training job names the dataset, but computes no normals

    def mean(values: np.ndarray) -> np.ndarray:
        return uniform_filter(values, 2 * radius + 1, mode="constant")

    mask = valid.astype(np.float64)
    share = mean(mask)
    usable = share >= _FILLED
    scale = 1 / np.where(usable, share, 1.0)
    x, y, v = (mean(mask * values) * scale for values in (right, down, w))
    xx = mean(mask * right * right) * scale - x * x
    xy = mean(mask * right * down) * scale - x * y
    yy = mean(mask * down * down) * scale - y * y
    xw = mean(w * right) * scale - x * v
    yw = mean(w * down) * scale - y * v
    ww = mean(w * w) * scale - v * v
    determinant = xx * yy - xy * xy
    usable &= determinant > 1e-3 * xx * yy
    determinant = np.where(usable, determinant, 1.0)
    a = (xw * yy - yw * xy) / determinant
    b = (yw * xx - xw * xy) / determinant
    c = v - a * x - b * y
    rms = np.sqrt(np.maximum(ww - a * xw - b * yw, 0.0))
    return np.stack([a, b, c]), np.where(usable, rms, np.inf)


def _best_window(plane: np.ndarray, rms: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """For each pixel the plane of the best of nine windows that hold it, and that window's residual."""
    height, width = rms.shape
    best = np.full(rms.shape, np.inf)
    row, column = np.zeros(rms.shape, np.int64), np.zeros(rms.shape, np.int64)
    padded = np.pad(rms, radius, constant_values=np.inf)
    # The middle first: a window off the middle is one-sided on curved surfaces, so it must be clearly better.
    for i, j in sorted(((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)), key=lambda s: abs(s[0]) + abs(s[1])):
        top, left = radius * (1 + i), radius * (1 + j)
        score = padded[top : top + height, left : left + width]
        better = score < best * _BETTER
        best[better] = score[better]
        row[better], column[better] = i * radius, j * radius
    rows = np.clip(np.arange(height)[:, None] + row, 0, height - 1)
    columns = np.clip(np.arange(width) + column, 0, width - 1)
    return plane[:, rows, columns], best


def _sharp_turns(normals: np.ndarray) -> np.ndarray:
    """Where one of the eight normals two pixels away differs by more than the sharp angle."""
    _, height, width = normals.shape
    step = _TURN_PIXELS
    around = np.pad(normals, ((0, 0), (step, step), (step, step)))
    turned = np.zeros((height, width), bool)
    for i in (0, step, 2 * step):
        for j in (0, step, 2 * step):
            other = around[:, i : i + height, j : j + width]
            turned |= (other != 0).any(0) & ((other * normals).sum(0) < _TURN_COSINE)
    return turned & (normals != 0).any(0)
