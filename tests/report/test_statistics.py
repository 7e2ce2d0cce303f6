"""Statistics against definitions, published examples and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mtlbench.report.evidence.statistics import (
    block_ranks,
    critical_difference,
    difference_tests,
    friedman_p,
    holm,
    image_weights,
    interval,
    probability_above,
    resampled_metrics,
)
from mtlbench.tasks.depth import Depth


def test_bootstrap_of_sums_is_the_metric_of_the_resampled_images() -> None:
    random = np.random.default_rng(0)
    statistics = {
        "abs": random.random(7),
        "rel": random.random(7),
        "count": random.integers(1, 200, 7).astype(np.uint8),
    }
    weights = image_weights(7, draws=20)
    assert (weights.sum(1) == 7).all()
    found = resampled_metrics(Depth(), statistics, weights)
    for b in range(20):
        images = np.repeat(np.arange(7), weights[b].astype(int))
        wanted = statistics["abs"][images].sum() / statistics["count"][images].astype(int).sum()
        assert found["abs_error"][b] == pytest.approx(wanted, rel=1e-12)


def test_bootstrap_interval_covers_the_mean_of_a_known_distribution() -> None:
    random = np.random.default_rng(1)
    hits = 0
    for trial in range(200):
        values = random.exponential(1.0, 60)
        weights = image_weights(60, draws=300, seed=trial)
        low, high = interval(weights @ values / 60)
        hits += low <= 1.0 <= high
    # 95 % nominal; a percentile bootstrap of 60 skewed values covers 92 to 94 %; 5 standard errors below
    assert hits >= 0.84 * 200


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_the_step_down_definition(p_values: list[float]) -> None:
    adjusted = holm(np.array(p_values))
    order = np.argsort(p_values, kind="stable")
    for place, index in enumerate(order):
        wanted = max(min(1, (len(p_values) - k) * p_values[order[k]]) for k in range(place + 1))
        assert adjusted[index] == pytest.approx(wanted)
    assert (adjusted >= p_values).all()


def test_holm_leaves_out_what_was_not_tested() -> None:
    adjusted = holm(np.array([0.01, np.nan, 0.04]))
    assert adjusted[[0, 2]].tolist() == [0.02, 0.04]
    assert np.isnan(adjusted[1])


def test_difference_test_is_the_pooled_t_test_without_image_variance() -> None:
    random = np.random.default_rng(2)
    groups = [random.normal(0, 1, 4), random.normal(0.5, 1, 4)]
    difference, p = difference_tests(groups, np.zeros((2, 2)))
    wanted = stats.ttest_ind(*groups)
    assert difference[0, 1] == pytest.approx(groups[0].mean() - groups[1].mean())
    assert p[0, 1] == pytest.approx(wanted.pvalue)
    assert p[1, 0] == p[0, 1]


def test_image_variance_makes_the_test_more_careful() -> None:
    groups = [np.array([1.0, 1.1, 0.9]), np.array([1.5, 1.6, 1.4])]
    without = difference_tests(groups, np.zeros((2, 2)))[1][0, 1]
    assert difference_tests(groups, np.full((2, 2), 0.1))[1][0, 1] > without


def test_one_seed_everywhere_cannot_be_tested() -> None:
    _, p = difference_tests([np.array([1.0]), np.array([2.0])], np.zeros((2, 2)))
    assert np.isnan(p).all()


def test_family_of_equal_methods_is_rarely_called_different() -> None:
    random = np.random.default_rng(3)
    upper = np.triu_indices(6, 1)
    alarms = 0
    for _ in range(400):
        groups = [random.normal(0, 1, 3) for _ in range(6)]
        alarms += (holm(difference_tests(groups, np.zeros((6, 6)))[1][upper]) < 0.05).any()
    # At most 5 % of families; 400 families: 20 expected at most, 5 standard deviations above is 42
    assert alarms < 42


def test_clear_differences_of_three_seeds_are_found() -> None:
    random = np.random.default_rng(4)
    groups = [random.normal(10 * k, 1, 3) for k in range(6)]
    adjusted = holm(difference_tests(groups, np.zeros((6, 6)))[1][np.triu_indices(6, 1)])
    assert (adjusted < 0.05).all()


def test_critical_difference_of_demsars_example() -> None:
    # Demsar, JMLR 2006, section 3.2.4: four classifiers, 14 data sets, CD = 1.25 (2.569 sqrt(4 x 5 / (6 x 14)))
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)


def test_friedman_is_scipys_statistic_in_the_f_form() -> None:
    random = np.random.default_rng(5)
    scores = random.normal(size=(14, 4)) + np.array([0, 0.4, 0.1, 0.8])
    ranks = block_ranks(scores)
    chi2 = stats.friedmanchisquare(*scores.T).statistic
    wanted = stats.f.sf(13 * chi2 / (14 * 3 - chi2), 3, 39)
    assert friedman_p(ranks) == pytest.approx(wanted)
    assert friedman_p(np.tile([1.0, 2.0, 3.0], (5, 1))) == 0.0


def test_probability_above_counts_ties_as_half() -> None:
    assert probability_above(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 1.0, 5.0, 5.0])) == 0.375
