"""Counting into bins, and medians from histograms, against numpy on the single values."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtlbench.metrics.angles import BIN_DEGREES, BINS, median_angle
from mtlbench.metrics.counting import count_per_image
from mtlbench.metrics.scalars import median_value, value_histograms
from mtlbench.metrics.segmentation import class_iou


@settings(deadline=None)
@given(bins=st.integers(1, 30), images=st.integers(1, 4), seed=st.integers(0, 1000))
def test_counts_equal_numpy_and_ignore_invalid_pixels(bins: int, images: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    index = random.integers(-5, bins, (images, 6, 5))  # negative ones are invalid
    found = count_per_image(torch.from_numpy(index), torch.from_numpy(index >= 0), bins)
    wanted = [np.bincount(image[image >= 0], minlength=bins) for image in index]
    assert np.array_equal(found.numpy(), wanted)


@given(st.lists(st.integers(0, BINS - 1), min_size=1, max_size=200))
def test_median_from_the_histogram_is_within_a_bin(bins: list[int]) -> None:
    angles = np.array(bins) * 0.1 + 0.05
    histogram = np.bincount(bins, minlength=BINS)
    low, high = np.percentile(angles, 50, method="lower"), np.percentile(angles, 50, method="higher")
    assert low - 0.051 <= median_angle(histogram) <= high + 0.051


@given(st.lists(st.lists(st.integers(0, BINS - 1), max_size=40), min_size=1, max_size=4))
def test_median_found_block_by_block_is_the_one_found_bin_by_bin(images: list[list[int]]) -> None:
    histograms = np.stack([np.bincount(np.array(bins, int), minlength=BINS) for bins in images])
    for histogram, found in zip(histograms, median_angle(histograms), strict=True):
        running, half = np.cumsum(histogram), histogram.sum() / 2
        index = int(np.searchsorted(running, half))
        before = running[index] - histogram[index]
        wanted = (index + (half - before) / histogram[index]) * BIN_DEGREES if half else np.nan
        np.testing.assert_array_equal(found, wanted)


def test_logarithmic_median_is_within_half_a_percent() -> None:
    values = torch.rand(1, 1, 50, 50, generator=torch.Generator().manual_seed(0)) * 9 + 0.1
    histogram = value_histograms(values, values > 0).flatten().numpy()
    assert median_value(histogram) == pytest.approx(values.median().item(), rel=5e-3)


def test_class_iou_of_many_matrices_at_once() -> None:
    confusion = np.array([[[2, 1], [0, 3]], [[0, 0], [0, 5]]])
    iou = class_iou(confusion)
    assert iou[0] == pytest.approx([2 / 3, 3 / 4])
    assert np.isnan(iou[1, 0])
    assert iou[1, 1] == 1
