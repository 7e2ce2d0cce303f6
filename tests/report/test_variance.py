"""The one variance: against textbook tests, against contradictions, and by simulation of coverage and error rate."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from mtlbench.report.evidence.pairs import compare
from mtlbench.report.evidence.per_image import baseline_influence, delta_draws
from mtlbench.report.evidence.statistics import interval
from mtlbench.report.evidence.variance import (
    Estimate,
    Sample,
    between_seeds,
    image_variance,
    seed_variance,
    unequal_noise,
    within_seeds,
)
from mtlbench.report.rows.grid import load_grid
from mtlbench.report.rows.inputs import ReportInput


def sample(values: list[float], seeds: tuple[int, ...] | None = None) -> Sample:
    found = np.array(values)
    return Sample(seeds or tuple(range(len(found))), found, np.repeat(found[:, None], 8, axis=1))


@pytest.fixture(scope="module")
def coverage() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_simulation", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_two_rows_are_the_paired_t_test() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 4))
    tests = compare({"a": sample(list(first)), "b": sample(list(second))}, scenes=8)
    assert tests.p_value[0, 1] == pytest.approx(stats.ttest_rel(first, second).pvalue)


def test_rows_without_common_seeds_are_the_pooled_t_test() -> None:
    first, second = np.array([1.0, 1.3, 0.8]), np.array([2.0, 2.3, 1.8])
    tests = compare({"a": sample(list(first), (0, 1, 2)), "b": sample(list(second), (3, 4, 5))}, scenes=8)
    assert tests.p_value[0, 1] == pytest.approx(stats.ttest_ind(first, second).pvalue)


def test_one_row_is_the_t_interval() -> None:
    values = [3.0, 4.0, 6.0]
    low, high = compare({"a": sample(values)}, scenes=8).intervals("a").both
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 2, np.mean(values), stats.sem(values)))


def test_what_a_seed_adds_to_all_rows_cancels_in_differences() -> None:
    values = np.random.default_rng(1).normal(size=(5, 4))
    shifted = values + np.array([0.0, 50, -20, 7])
    assert within_seeds(shifted)[1].variance == pytest.approx(within_seeds(values)[1].variance)
    assert (within_seeds(shifted)[0].variance > within_seeds(values)[0].variance).all()


def test_a_noisy_row_is_judged_by_its_own_noise() -> None:
    values = np.random.default_rng(2).normal(size=(6, 5))
    values[3] *= 40
    variance = within_seeds(values)[1].variance
    others = [i for i in range(6) if i != 3]
    assert (variance[3, others] >= values[3].var(ddof=1) / 5 * 0.9).all()


def intervals(means: np.ndarray, found: Estimate) -> list[tuple[float, float]]:
    """Nominal 95 % intervals of means (rows,)."""
    parts = zip(means, found.variance, found.freedom, strict=True)
    return [interval(float(mean), float(variance), float(freedom)) for mean, variance, freedom in parts]


@pytest.mark.parametrize("rows", [2, 3, 6])
def test_few_rows_and_unequally_noisy_ones_have_the_textbook_interval(rows: int) -> None:
    values = np.random.default_rng(5).normal(size=(rows, 4))
    values[0] *= 40
    for own, found in zip(values, intervals(values.mean(1), within_seeds(values)[0]), strict=True):
        assert found == pytest.approx(stats.t.interval(0.95, 3, own.mean(), stats.sem(own)))


def test_equally_noisy_rows_borrow_from_one_another() -> None:
    values = np.random.default_rng(9).normal(size=(8, 3))
    assert not unequal_noise(((values - values.mean(1, keepdims=True)) ** 2).sum(1), 2)
    assert (within_seeds(values)[0].freedom > 2.5).all()


def test_unequal_noise_is_told_at_its_level() -> None:
    squares = np.random.default_rng(7).chisquare(3, size=(4000, 6))
    assert np.mean([unequal_noise(one, 3) for one in squares]) == pytest.approx(0.5, abs=0.06)  # Bonferroni: below
    assert not unequal_noise(np.zeros(6), 3)
    assert unequal_noise(np.array([1.0, 0, 0, 0]), 3)


@pytest.mark.parametrize("scale", [(1, 1, 1, 1, 1, 1), (1, 5, 1, 5, 1, 5), (5, 1, 1, 1, 1, 1), (1, 5, 1)])
def test_every_row_is_covered_whatever_its_noise(scale: tuple[int, ...]) -> None:
    """Three seeds, the baseline's noise in all rows: before, the noisy row of six had 0.88."""
    random = np.random.default_rng(8)
    hold = []
    for _ in range(2500):
        values = np.array(scale)[:, None] * random.normal(size=(len(scale), 3)) - random.normal(size=3)
        hold.append([low <= 0 <= high for low, high in intervals(values.mean(1), within_seeds(values)[0])])
    covered = np.mean(hold, axis=0)
    error = 3 * np.sqrt(0.95 * 0.05 / len(hold))
    assert (covered > 0.93 - error).all()
    assert (covered < 0.97 + error).all()


def test_a_row_with_fewer_seeds_is_compared_between_seeds() -> None:
    random = np.random.default_rng(3)
    shared = 10 * random.normal(size=3)
    rows = [sample(list(shared + random.normal(size=3))) for _ in range(3)]
    short = Sample((0, 1), rows[0].values[:2], rows[0].draws[:2])
    means, differences = seed_variance([*rows, short])
    apart = between_seeds([one.values for one in [*rows, short]])[1]
    assert differences.variance[3] == pytest.approx(apart.variance[3])
    assert (differences.variance[0, 1:3] < 0.2 * differences.variance[0, 3]).all()
    assert np.isfinite(means.variance).all()


def test_one_seed_everywhere_cannot_be_tested() -> None:
    tests = compare({"a": sample([1.0]), "b": sample([2.0])}, scenes=8)
    assert np.isnan(tests.p_value).all()
    assert np.isnan(tests.intervals("a").both).all()


def test_noise_of_single_images_is_not_counted_twice() -> None:
    random = np.random.default_rng(4)
    rows, seeds, images = 8, 3, 4000
    single = random.normal(size=(rows, seeds, images))  # nothing but row x seed x image
    weights = random.multinomial(images, np.full(images, 1 / images), size=400) / images
    samples = [Sample((0, 1, 2), one.mean(1), one @ weights.T) for one in single]
    left = np.diag(image_variance(samples, images)).mean()
    assert abs(left) < 0.15 / (seeds * images)  # the variance between seeds holds all of 1 / (seeds x images)


def test_the_baselines_influence_is_the_derivative_of_delta_m(report: ReportInput) -> None:
    grid = load_grid(report)
    values, baseline = grid.reported["segnet_mtan.equal"], grid.reported["segnet_single.single"]
    row = {name: found.mean(0) for name, found in values.items()}
    base = {name: found.mean(0) for name, found in baseline.items()}
    small = 1e-6
    for seed in range(2):
        moved = {name: base[name] + small * (baseline[name][seed] - base[name]) for name in base}
        for name, found in baseline_influence(grid, values, baseline).items():
            slope = (delta_draws(grid, row, moved)[name] - delta_draws(grid, row, base)[name]) / small
            assert found[seed] == pytest.approx(slope, rel=1e-3, abs=1e-6)
            assert found.sum() == pytest.approx(0, abs=1e-9)


def test_a_baseline_with_other_seeds_still_widens_the_intervals() -> None:
    rows = {"a": sample([1.0, 1.2, 0.9]), "b": sample([0.3, 0.1, 0.2])}
    alone = compare(rows, 8, "base").spread.variance
    apart = {name: np.array([-3.0, 3.0]) for name in rows}
    wider = compare(rows, 8, "base", apart).spread.variance
    assert wider[1:] == pytest.approx(alone[1:] + 9)  # variance 18 over two seeds


@pytest.mark.parametrize("regime", ["seeds rule", "baseline 5 times as noisy", "seeds and images"])
def test_intervals_hold_the_truth(coverage: ModuleType, regime: str) -> None:
    found = coverage.simulate(coverage.REGIMES[regime], seeds=3, trials=120)
    # 120 experiments: a standard error of 0.02; before, 0.22 to 0.6 without image noise
    assert 0.87 < found["coverage"] <= 1
    assert found["error"] < 0.05 + 3 * 0.02


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_coverage_and_error_rate_in_all_regimes(coverage: ModuleType, seeds: int) -> None:
    trials = 700
    found = {name: coverage.simulate(regime, seeds, trials) for name, regime in coverage.REGIMES.items()}
    error = 3 * np.sqrt(0.05 * 0.95 / trials)
    for name, one in found.items():
        assert 0.93 - error < one["worst row"], name
        assert one["coverage"] < 0.97 + error, name
        assert one["error"] < 0.05 + error, name


@pytest.mark.slow
def test_common_seeds_give_power(coverage: ModuleType) -> None:
    regime = coverage.REGIMES["seeds, correlation 0.5"]
    old, new = (coverage.simulate(regime, 5, 300, old)["power"] for old in (True, False))
    assert new > old + 0.1
