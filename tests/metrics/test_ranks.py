"""Ranks and rank correlation."""

import math

import pandas as pd
import pytest

from mtlbench.metrics.ranks import kendall_tau, mean_ranks, swapped_pairs


def test_mean_ranks_with_ties_and_a_missing_result() -> None:
    scores = pd.DataFrame({"x": [3.0, 2.0, 1.0, 9.0], "y": [1.0, 1.0, 5.0, math.nan]}, index=list("abcd"))
    ranks = mean_ranks(scores)
    assert ranks["a"] == (1 + 2.5) / 2
    assert ranks["b"] == (2 + 2.5) / 2
    assert ranks["c"] == (3 + 1) / 2
    assert math.isnan(ranks["d"])


def test_kendall_tau_counts_pairs() -> None:
    first = pd.Series([1.0, 2.0, 3.0, 4.0])
    second = pd.Series([1.0, 3.0, 2.0, 4.0])
    # six pairs, one swapped
    assert kendall_tau(first, second) == pytest.approx((5 - 1) / 6)
    assert swapped_pairs(first, second) == 1
    assert kendall_tau(first, -first) == pytest.approx(-1)


def test_kendall_tau_needs_two_different_methods() -> None:
    assert math.isnan(kendall_tau(pd.Series([1.0, math.nan]), pd.Series([1.0, 2.0])))
    assert math.isnan(kendall_tau(pd.Series([1.0, 1.0]), pd.Series([1.0, 2.0])))
