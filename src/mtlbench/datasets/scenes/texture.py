"""Procedural patterns on surfaces, from integer hashes, so that they need no image files."""

import numpy as np

from mtlbench.datasets.scenes.solids import Material


def hashed(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """A number in [0, 1) for each integer place (x, y)."""
    h = x.astype(np.int64).astype(np.uint32) * np.uint32(0x9E3779B1)
    h ^= y.astype(np.int64).astype(np.uint32) * np.uint32(0x85EBCA77) + np.uint32(seed & 0xFFFFFFFF)
    h ^= h >> np.uint32(15)
    h *= np.uint32(0x2C1B3C6D)
    h ^= h >> np.uint32(12)
    h *= np.uint32(0x297A2D39)
    h ^= h >> np.uint32(15)
    return h.astype(np.float64) / 4294967296.0


def smooth_noise(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Value noise with period 1: random numbers at integer places, smoothly interpolated, in [0, 1)."""
    left, top = np.floor(x), np.floor(y)
    a, b = x - left, y - top
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    upper = hashed(left, top, seed) * (1 - a) + hashed(left + 1, top, seed) * a
    lower = hashed(left, top + 1, seed) * (1 - a) + hashed(left + 1, top + 1, seed) * a
    return upper * (1 - b) + lower * b


def colour(material: Material, p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Linear RGB (3, n) of a material at surface coordinates (p, q) in metres."""
    x, y, seed = p / material.scale, q / material.scale, material.phase
    if material.pattern == "checker":
        mix = (np.floor(x) + np.floor(y)) % 2
    elif material.pattern == "stripes":
        mix = hashed(np.floor(x), np.zeros_like(x), seed)
    elif material.pattern == "grain":
        mix = 0.6 * smooth_noise(x, y * 0.15, seed) + 0.4 * hashed(np.floor(x * 0.5), np.zeros_like(x), seed)
    elif material.pattern == "spots":
        mix = np.clip((smooth_noise(x, y, seed) - 0.4) * 8, 0, 1)
    else:
        mix = smooth_noise(x, y, seed)
    # A little dirt on everything: no real surface has one flat colour.
    dirt = 0.93 + 0.14 * smooth_noise(p * 23.0, q * 23.0, seed + 1)
    return np.stack([(a + (b - a) * mix) * dirt for a, b in zip(material.colour, material.second, strict=True)])
