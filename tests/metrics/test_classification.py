"""Hits, shares and the decathlon's score against values worked out by hand."""

import numpy as np
import pytest
import torch

from mtlbench.metrics.classification import decathlon_score, hits, share


def test_hits_against_a_sorted_list() -> None:
    logits = torch.randn(50, 12, generator=torch.Generator().manual_seed(0))
    target = torch.arange(50) % 12
    for most in (1, 5):
        expected = [int(t in row.argsort(descending=True)[:most]) for row, t in zip(logits, target, strict=True)]
        assert hits(logits, target, most).tolist() == expected


def test_no_luck_with_equal_logits_no_hit_by_nan_and_none_in_another_domain() -> None:
    logits = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [float("nan")] * 3, [3.0, 2.0, 1.0]])
    assert hits(logits, torch.tensor([0, 2, 0, -1]), 1).tolist() == [1, 0, 0, 0]


def test_a_share_of_nothing_is_undefined() -> None:
    np.testing.assert_array_equal(share(np.array([1, 0]), np.array([4, 0])), [0.25, np.nan])


def test_the_decathlon_s_score() -> None:
    # (1 - 0.1/0.4)^2 = 0.5625, no error 1, beyond the largest error 0.
    assert decathlon_score([0.1, 0.0, 0.7], [0.4, 0.2, 0.6]) == pytest.approx(1562.5)
    assert decathlon_score([[0.2, 0.1]], [0.4, 0.2]) == pytest.approx(500)  # half of the largest: 250 a domain
    assert np.isnan(decathlon_score([0.1, np.nan], [0.4, 0.2]))
    assert np.isnan(decathlon_score([0.1], [0.0]))
