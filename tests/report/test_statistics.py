"""Statistics against definitions, published examples and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mtlbench.report.evidence.statistics import (
    block_ranks,
    critical_difference,
    friedman_p,
    holm,
    image_weights,
    probability_above,
    resampled_metrics,
    two_sided,
)
from mtlbench.tasks.depth import Depth


def test_bootstrap_of_sums_is_the_metric_of_the_resampled_images() -> None:
    random = np.random.default_rng(0)
    statistics = {
        "abs": random.random(7),
        "rel": random.random(7),
        "count": random.integers(1, 200, 7).astype(np.uint8),
    }
    weights = image_weights(np.arange(7), draws=20)
    assert (weights.sum(1) == 7).all()
    found = resampled_metrics(Depth(), statistics, weights)
    for b in range(20):
        images = np.repeat(np.arange(7), weights[b].astype(int))
        wanted = statistics["abs"][images].sum() / statistics["count"][images].astype(int).sum()
        assert found["abs_error"][b] == pytest.approx(wanted, rel=1e-12)


def test_whole_scenes_are_drawn() -> None:
    weights = image_weights(np.array([7, 7, 3, 9, 9, 9]), draws=200)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (np.ptp(weights[:, 3:], axis=1) == 0).all()
    assert (weights[:, [0, 2, 3]].sum(1) == 3).all()


def test_resampling_scenes_sees_the_scatter_between_them() -> None:
    random = np.random.default_rng(1)
    scenes = np.repeat(np.arange(40), 10)
    values = random.normal(0, 1, 40)[scenes] + random.normal(0, 0.1, 400)
    single, whole = ((image_weights(kind) @ values / 400).std() for kind in (np.arange(400), scenes))
    assert whole == pytest.approx(values.reshape(40, 10).mean(1).std() / np.sqrt(40), rel=0.15)
    assert single < 0.5 * whole


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


def test_probability_and_p_value_are_one_thing() -> None:
    difference, variance, freedom = np.array([1.0, -1.0, 0.0, 2.0]), np.array([0.2, 0.2, 0.2, 0.0]), np.full(4, 3.0)
    p_value = two_sided(difference, variance, freedom)
    above = probability_above(difference, variance, freedom)
    assert p_value == pytest.approx(2 * np.minimum(above, 1 - above))
    assert above == pytest.approx([stats.t.cdf(1 / np.sqrt(0.2), 3), stats.t.cdf(-1 / np.sqrt(0.2), 3), 0.5, 1])
