"""Gains over the single-task networks: the figure, the family of its tests, and what ranks on images do not say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mtlbench.report.build import pair_table, supported
from mtlbench.report.evidence import stability
from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.gains import gains, per_seed
from mtlbench.report.evidence.pairs import compare
from mtlbench.report.evidence.statistics import block_ranks, critical_difference, image_weights
from mtlbench.report.evidence.variance import Sample
from mtlbench.report.figures.gains import colour_limit, gain_matrix, labels
from mtlbench.report.page.against import family, p_text


def test_a_gain_is_positive_where_the_metric_is_better(analysis: Analysis) -> None:
    grid, row = analysis.grid, analysis.grid.rows[1]
    found = per_seed(grid, row)
    assert found.shape == (2, len(grid.columns))
    for place, column in enumerate(grid.columns):
        base = grid.reported["segnet_single.single"][column.name].mean()
        change = 100 * (grid.reported[row.slug][column.name] / base - 1)
        assert found[:, place] == pytest.approx(change if column.metric.higher_is_better else -change)
    assert found.mean(1) == pytest.approx(grid.reported[row.slug]["delta_m_flat"])


def test_the_matrix_holds_every_row_but_the_baseline_best_first(analysis: Analysis) -> None:
    found = gains(analysis)
    assert [row.slug for row in found.rows] == [r.slug for r in analysis.ranking if r is not analysis.grid.baseline]
    assert (np.diff(found.mean.mean(1)) <= 0).all()  # flat Delta_m is the mean of a line
    for line, row in enumerate(found.rows):
        for place, column in enumerate(analysis.grid.columns):
            tests = analysis.pairs[column.name]
            wanted = tests.against_baseline[tests.slugs.index(row.slug)]
            assert found.p_value[line, place] == wanted
            assert found.established[line, place] == (wanted < 0.05)


def test_without_a_baseline_there_is_no_matrix(analysis: Analysis, tmp_path: Path) -> None:
    alone = Analysis(replace(analysis.grid, input=replace(analysis.grid.input, baseline=None)), analysis.evidence)
    assert gain_matrix(alone, tmp_path) is None
    assert family(alone).lines == ()


def test_the_cells_have_a_sign_and_a_dot_where_established() -> None:
    values = np.array([[1.25, -3.0, np.nan], [0.04, -0.04, 12.0]])
    sure = np.array([[True, False, False], [False, False, True]])
    assert labels(values, sure).tolist() == [["+1.2 •", "−3.0", "–"], ["0.0", "0.0", "+12.0 •"]]


def test_one_wild_row_does_not_pale_the_others() -> None:
    values = np.full((20, 9), 2.0)
    values[0] = 500
    assert colour_limit(values) == 2.0
    assert colour_limit(np.zeros((2, 2))) == 1.0


def test_the_family_is_that_of_the_headline_and_of_pairs_csv(analysis: Analysis) -> None:
    found = family(analysis)
    table = pair_table(analysis)
    assert {column.name for column in found.columns} <= set(table["column"])
    table = table[table["p_holm_baseline"].notna() & table["column"].isin([c.name for c in found.columns])]
    assert len(table) == len(found.columns) * len(found.lines)
    for place, column in enumerate(found.columns):
        below = (table["column"] == column.name) & (table["p_holm_baseline"] < 0.05)
        assert found.survivors(place) == below.sum()
    row, cells = found.lines[0]
    delta = next(place for place, column in enumerate(found.columns) if column.name == "delta_m_flat")
    value = analysis.grid.reported[row.slug]["delta_m_flat"].mean()
    assert cells[delta].difference == f"{value:+.2f}".replace("-", "−")


def test_p_values_have_the_digits_that_they_support(analysis: Analysis) -> None:
    assert [supported(p) for p in (0.123456, 0.0004567, 1.0)] == [0.12, 0.00046, 1.0]
    assert [p_text(p) for p in (0.123456, 0.0004567, float("nan"))] == ["0.12", "< 0.001", "–"]
    table = pair_table(analysis)
    for name in ("p", "p_holm", "p_holm_baseline"):
        known = table[name].dropna()
        assert (known == known.map(supported)).all()
    positive = table["difference"] > 0
    assert table["probability_above"].to_numpy() == pytest.approx(
        np.where(positive, 1 - table["p"] / 2, table["p"] / 2)
    )


def test_agreement_of_nothing_has_no_minus() -> None:
    tau = pd.DataFrame([[1.0, -0.001], [-0.001, -1.0]])
    assert stability.annotations(tau).tolist() == [["1.00", "0.00"], ["0.00", "−1.00"]]


def _equal_methods(random: np.random.Generator, rows: int, seeds: int, images: int) -> np.ndarray:
    """Scores (rows, seeds, images) of methods that differ by their seeds alone."""
    seed = random.normal(0, 1, (rows, seeds, 1))
    return seed + random.normal(0, 1, (1, 1, images)) + random.normal(0, 1, (rows, seeds, images))


def test_ranks_on_images_tell_networks_apart_and_not_methods() -> None:
    random, trials, weights = np.random.default_rng(0), 60, image_weights(np.arange(60), draws=200) / 60
    by_rank = by_tests = 0
    for _ in range(trials):
        scores = _equal_methods(random, 6, 3, 60)
        ranks = np.sort(block_ranks(scores.mean(1).T).mean(0))
        by_rank += ranks[-1] - ranks[0] > critical_difference(6, 60)
        samples = {str(i): Sample((0, 1, 2), one.mean(1), one @ weights.T) for i, one in enumerate(scores)}
        by_tests += compare(samples, scenes=60).count[0] > 0
    assert by_rank > 0.9 * trials  # hence the title over the diagrams
    assert by_tests <= 0.05 * trials + 3 * np.sqrt(trials * 0.05 * 0.95)
