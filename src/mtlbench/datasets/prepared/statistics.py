"""What a manifest says about prepared arrays: ranges, means, class shares, invalid shares.

Sums are taken per chunk of images and added in the chunks' order, so the numbers do not depend on how many
processes worked.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mtlbench.maps import Classes, Labels, Maps

Sums = dict[str, dict[str, Any]]


def sums_of(arrays: Mapping[str, np.ndarray], maps: Mapping[str, Maps]) -> Sums:
    """Sums over a chunk of images: arrays (n, ...) to JSON values."""
    result: Sums = {}
    for name, array in arrays.items():
        form = maps[name]
        if isinstance(form, Labels | Classes):
            counts = np.bincount(array.ravel().astype(np.int64) + 1, minlength=len(form.names) + 1)
            result[name] = {"counts": counts.tolist()}
            continue
        valid = np.stack([form.valid(one) for one in array])
        # Images and channels one by one: bounded memory, and few enough terms for exact enough float64 sums.
        parts = [[array[i, c][valid[i]].astype(np.float64) for c in range(array.shape[1])] for i in range(len(array))]
        full = [part for image in parts for part in image if part.size]
        result[name] = {
            "pixels": int(valid.size),
            "valid": int(valid.sum()),
            "sum": [float(sum(image[c].sum() for image in parts)) for c in range(array.shape[1])],
            "squares": [float(sum((image[c] ** 2).sum() for image in parts)) for c in range(array.shape[1])],
            "min": min((float(part.min()) for part in full), default=None),
            "max": max((float(part.max()) for part in full), default=None),
        }
    return result


def describe(chunks: Sequence[Sums], maps: Mapping[str, Maps]) -> dict[str, dict[str, Any]]:
    """Statistics of one split, by array, from the sums of its chunks in order."""
    return {
        name: _classes(name, chunks, form.names)
        if isinstance(form := maps[name], Labels | Classes)
        else _values(name, chunks)
        for name in chunks[0]
    }


def total_remarks(parts: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, dict[str, int]]:
    """{remark: {"images": number, "pixels": number}} over all chunks."""
    total: dict[str, dict[str, int]] = {}
    for part in parts:
        for text, (images, pixels) in part.items():
            entry = total.setdefault(text, {"images": 0, "pixels": 0})
            entry["images"] += images
            entry["pixels"] += pixels
    return total


def _classes(name: str, chunks: Sequence[Sums], names: Sequence[str]) -> dict[str, Any]:
    counts = np.sum([chunk[name]["counts"] for chunk in chunks], axis=0)
    labelled = max(1, int(counts[1:].sum()))
    shares = (counts[1:] / labelled).tolist()
    return {
        "class_shares": dict(zip(names, shares, strict=True)),
        "invalid_share": float(counts[0] / max(1, counts.sum())),
        "pixels": int(counts.sum()),
    }


def _values(name: str, chunks: Sequence[Sums]) -> dict[str, Any]:
    parts = [chunk[name] for chunk in chunks]
    valid = sum(part["valid"] for part in parts)
    total = np.sum([part["sum"] for part in parts], axis=0)
    squares = np.sum([part["squares"] for part in parts], axis=0)
    pixels = sum(part["pixels"] for part in parts)
    mean = total / valid if valid else np.full(len(total), np.nan)
    deviation = np.sqrt(np.maximum(squares / valid - mean**2, 0)) if valid else mean
    return {
        "min": min((part["min"] for part in parts if part["min"] is not None), default=None),
        "max": max((part["max"] for part in parts if part["max"] is not None), default=None),
        "mean": mean.tolist() if valid else None,
        "std": deviation.tolist() if valid else None,
        "invalid_share": 1 - valid / pixels,
        "pixels": pixels,
    }
