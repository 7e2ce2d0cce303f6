"""Interquartile means and performance profiles against definitions, derivatives and simulation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from mtlbench.report.evidence.aggregate import (
    by_seed,
    gain,
    interquartile_mean,
    interquartile_tests,
    of_baseline,
    profile,
    profile_band,
    rows_with_gains,
)
from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.gains import per_seed
from mtlbench.report.evidence.pairs import compare
from mtlbench.report.evidence.variance import Sample
from mtlbench.report.figures.aggregate import aggregates


@pytest.mark.parametrize("count", [1, 2, 4, 7, 18, 27])
def test_interquartile_mean_is_scipys_trimmed_mean(count: int) -> None:
    values = np.random.default_rng(count).normal(size=(count, 3))
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25, axis=0))


def test_the_parts_of_the_seeds_average_to_the_whole() -> None:
    gains = np.random.default_rng(0).normal(size=(5, 9, 4))
    whole = interquartile_mean(gains.reshape(45, 4))
    assert by_seed(gains).mean(0) == pytest.approx(whole)
    assert by_seed(gains[..., 0]) == pytest.approx(by_seed(gains)[:, 0])
    wild = gains.copy()
    wild[2, 3] = 1e9  # one extreme metric of one seed
    assert np.abs(by_seed(wild)).max() < 10


def test_the_baselines_part_is_the_derivative(analysis: Analysis) -> None:
    grid, small = analysis.grid, 1e-7
    higher = np.array([column.metric.higher_is_better for column in grid.columns])
    values, base = (
        np.stack([grid.reported[slug][c.name] for c in grid.columns], axis=1)
        for slug in ("segnet_mtan.dwa", "segnet_single.single")
    )
    mean = base.mean(0)
    found = of_baseline(gain(grid, values, mean), base / mean - 1, higher)
    for seed in range(2):
        moved = gain(grid, values, mean + small * (base[seed] - mean))
        slope = (interquartile_mean(moved.ravel()) - interquartile_mean(gain(grid, values, mean).ravel())) / small
        assert found[seed] == pytest.approx(slope, rel=1e-4)


def test_every_row_stands_against_the_baseline(analysis: Analysis) -> None:
    tests = interquartile_tests(analysis)
    assert tests is not None
    assert tests.slugs[0] == "segnet_single.single"
    assert tests.means[0] == 0
    for row in rows_with_gains(analysis):
        found = tests.intervals(row.slug)
        assert found.mean == pytest.approx(stats.trim_mean(per_seed(analysis.grid, row).ravel(), 0.25))
        assert found.both[0] < found.mean < found.both[1]


def test_a_baseline_of_0_leaves_nothing_to_pool(analysis: Analysis, tmp_path: Path) -> None:
    slug = "segnet_single.single"
    evidence = dict(analysis.evidence)
    draws = evidence[slug].draws
    evidence[slug] = replace(evidence[slug], draws={**draws, "segmentation_miou": 0 * draws["segmentation_miou"]})
    changed = Analysis(analysis.grid, evidence)
    assert rows_with_gains(changed) == []
    assert interquartile_tests(changed) is None
    assert aggregates(changed, tmp_path) is None


def test_a_profile_is_the_share_above(analysis: Analysis) -> None:
    gains = np.array([[1.0, 2.0], [3.0, -4.0]])
    assert profile(gains, np.array([-5.0, 0.0, 1.0, 2.5, 9.0])).tolist() == [1, 0.75, 0.5, 0.25, 0]
    at = np.linspace(-60, 60, 25)
    for row in rows_with_gains(analysis):
        low, high = profile_band(analysis, row, at)
        assert (low <= high).all()
        assert (low[0], high[-1]) == (1, 0)
        assert (np.diff(low) <= 0).all()
        drawn = profile(per_seed(analysis.grid, row), at)
        assert ((low - 0.12 <= drawn) & (drawn <= high + 0.12)).mean() > 0.9


def test_the_interval_of_the_interquartile_mean_holds_the_truth() -> None:
    random, trials, seeds, metrics = np.random.default_rng(3), 120, 3, 9
    held = 0
    for _ in range(trials):
        # one network's metrics move together; metrics scatter by themselves; the true gain is 2 everywhere
        gains = 2 + random.normal(size=(5, seeds, 1)) + random.normal(size=(5, seeds, metrics))
        relative = random.normal(0, 0.01, (seeds, metrics))
        gains = gains - 100 * relative.mean(0)  # the baseline's mean is off by its seeds'
        up = np.ones(metrics, bool)
        centred = relative - relative.mean(0)
        values = [by_seed(one) + of_baseline(one, centred, up) for one in gains]
        samples = {str(i): Sample((0, 1, 2), one, np.zeros((3, 8)) + one[:, None]) for i, one in enumerate(values)}
        low, high = compare(samples, 8).intervals("0").both
        held += low < 2 < high
    assert held / trials > 0.88  # nominal 0.95, standard error 0.02
