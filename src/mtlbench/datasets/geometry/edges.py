"""Which normals of a map to leave out: a window over an edge fits no plane, and beside an edge the normal turns.

How far a residual may lie above the others depends on the map's noise, which the map itself shows. A real sensor's
differs from place to place (the logarithms of the residuals deviate by 0.5 and more) and is larger near edges: there
only a large residual tells an edge. Where the noise is the same everywhere (81 samples alone make the logarithms
deviate by 0.08), or smaller than a sensor's own rounding, a small excess does, and so does a sharp turn.
"""

import numpy as np

#: Standard deviation of the rounding of 1/z (1/metres) by the first Kinect, whose disparity comes in steps of 1/8 pixel
#: (focal length 580 pixels, baseline 7.5 cm).
_ROUNDING = 1 / (580 * 0.075 * 8 * np.sqrt(12))
#: Residual that is never an outlier, and the smallest that is told from zero.
_LEAST, _ZERO = _ROUNDING / 12, _ROUNDING / 3000
#: Noise is the same everywhere when the logarithms of the residuals deviate by less.
_EVEN = 0.2
#: An outlier lies so many robust standard deviations above the median of the logarithms of the residuals; the second
#: number is for even or small noise and for coarsely rounded maps, whose steps hide small residuals.
_OUTLIER, _OUTLIER_STRICT = 2.75, 1.5
#: A sharp turn, in degrees between normals ``_TURN_PIXELS`` apart in a map that is 480 high; the second for coarsely
#: rounded maps, which are smoothed.
_TURN, _TURN_COARSE, _TURN_PIXELS = 20.0, 8.0, 2


def at_edges(normals: np.ndarray, residual: np.ndarray, coarse: bool, spacing: float) -> np.ndarray:
    """Which of the normals (3, H, W) are to be invalid, boolean (H, W).

    ``residual`` (H, W) is that of 1/z (1/metres) of each window, inf where nothing is known; ``coarse`` says that the
    map was rounded coarsely; ``spacing`` is the distance of neighbours here, in pixels of a map that is 480 high.
    """
    logarithm = np.log(np.maximum(residual, _ZERO))
    sample = logarithm[np.isfinite(residual)]
    if not sample.size:
        return np.ones(residual.shape, bool)
    middle = np.median(sample)
    spread = 1.4826 * np.median(np.abs(sample - middle))
    strict = bool(middle < np.log(_ROUNDING) or spread < _EVEN)
    most = _OUTLIER_STRICT if strict or coarse else _OUTLIER
    wrong = logarithm > max(np.log(_LEAST), middle + most * spread)
    if strict:
        step = max(1, round(_TURN_PIXELS / spacing))
        wrong |= _sharp_turns(np.where(wrong, 0, normals), step, _TURN_COARSE if coarse else _TURN)
    return wrong


def _sharp_turns(normals: np.ndarray, step: int, most: float) -> np.ndarray:
    """Where one of the eight valid normals (3, H, W) ``step`` away differs by more than ``most`` degrees."""
    around = np.pad(normals, ((0, 0), (step, step), (step, step)))
    valid = (around != 0).any(0)
    height, width = normals.shape[1:]
    turned = np.zeros((height, width), bool)
    least = np.float32(np.cos(np.radians(most)))
    for i in (0, step, 2 * step):
        for j in (0, step, 2 * step):
            part = (slice(i, i + height), slice(j, j + width))
            turned |= valid[part] & (np.einsum("chw,chw->hw", around[:, *part], normals) < least)
    return turned & valid[step : step + height, step : step + width]
