"""Evidence from per-image files against direct computation, and what is marked because of it."""

from collections.abc import Callable

import numpy as np
import pytest

from mtlbench.report.evidence.analysis import Analysis, analyse
from mtlbench.report.evidence.comparisons import AHEAD, BEST, LEVEL_WITH_BEST, image_ranks, main_column, marks
from mtlbench.report.evidence.pairs import PairTests
from mtlbench.report.evidence.per_image import IMAGE, WHOLE, group_means
from mtlbench.report.evidence.variance import Estimate
from mtlbench.report.rows.grid import DELTA_COLUMNS, load_grid
from mtlbench.report.rows.inputs import ReportInput
from mtlbench.tasks.depth import Depth


def test_groups_average_like_the_published_codes() -> None:
    statistics = {
        "abs": np.array([2.0, 9.0, 4.0, 8.0, 5.0]), "rel": np.zeros(5), "count": np.array([1, 3, 0, 4, 250], np.uint8),
    }  # fmt: skip
    assert group_means(Depth(), statistics, WHOLE)["abs_error"] == pytest.approx(28 / 258)
    assert group_means(Depth(), statistics, 2)["abs_error"] == pytest.approx((11 / 4 + 12 / 4 + 5 / 250) / 3)
    # the third image has no valid pixel and does not count
    assert group_means(Depth(), statistics, IMAGE)["abs_error"] == pytest.approx((2 + 3 + 2 + 5 / 250) / 4)


def test_whole_set_statistics_give_the_recorded_metrics(analysis: Analysis) -> None:
    for row in analysis.grid.rows:
        for column in analysis.grid.columns:
            found = analysis.evidence[row.slug].grouped[WHOLE][column.name]
            assert found == pytest.approx(analysis.grid.reported[row.slug][column.name], rel=1e-9)


def test_the_same_images_are_drawn_for_all_rows(analysis: Analysis) -> None:
    first, second = (
        analysis.evidence[slug].draws["depth_abs_error"][0] for slug in ("segnet_mtan.equal", "segnet_mtan.dwa")
    )
    # the rows err on the same difficult images, so draws of the same images move together
    assert np.corrcoef(first, second)[0, 1] > 0.5


def test_the_baselines_delta_m_stays_zero_on_every_draw(analysis: Analysis) -> None:
    for column in DELTA_COLUMNS:
        assert analysis.evidence["segnet_single.single"].draws[column.name].mean(0) == pytest.approx(0, abs=1e-9)


def test_intervals_hold_the_mean_and_widen_with_the_seeds(analysis: Analysis) -> None:
    for column in analysis.columns:
        for slug in analysis.pairs[column.name].slugs:
            found = analysis.pairs[column.name].intervals(slug)
            assert found.both[0] <= found.images[0] <= found.mean <= found.images[1] <= found.both[1]


def test_the_baselines_own_noise_is_in_every_other_interval(analysis: Analysis) -> None:
    tests = analysis.pairs["delta_m_flat"]
    assert tests.intervals("segnet_single.single").both == pytest.approx((0, 0), abs=1e-9)
    # the interval of a row leaves 0 out exactly where its difference from the baseline has p < 0.05
    for slug in tests.slugs[1:]:
        low, high = tests.intervals(slug).both
        p_value = tests.p_value[0, tests.slugs.index(slug)]
        assert (low > 0 or high < 0) == (p_value < 0.05)


def test_intervals_probabilities_and_tests_never_contradict(analysis: Analysis) -> None:
    for tests in analysis.pairs.values():
        away = ~np.eye(len(tests.slugs), dtype=bool)
        assert tests.above[away] + tests.above.T[away] == pytest.approx(1)
        assert tests.p_value[away] == pytest.approx(2 * np.minimum(tests.above, 1 - tests.above)[away])
        assert (tests.adjusted >= tests.p_value)[away].all()
        # the family of comparisons with the baseline is smaller, so its correction is milder
        assert (tests.against_baseline[1:] <= tests.adjusted[0, 1:]).all()


def test_one_seed_has_no_seed_interval_and_no_marks(make: Callable[..., ReportInput]) -> None:
    analysis = analyse(load_grid(make(seeds=(0,), models=("segnet_mtan",))))
    found = analysis.pairs["delta_m_flat"].intervals(analysis.grid.rows[1].slug)
    assert np.isnan(found.both).all()
    assert found.images[0] < found.images[1]
    assert {mark for column in analysis.marks.values() for mark in column.values()} == {AHEAD}


def test_a_row_without_per_image_files_is_left_out(make: Callable[..., ReportInput]) -> None:
    report = make(models=("segnet_mtan",), seeds=(0,), images=4)
    (report.cells[-1].folder / "per_image.npz").write_bytes(b"PK broken")
    analysis = analyse(load_grid(report))
    assert "segnet_mtan.dwa" not in analysis.evidence
    assert "segnet_mtan.equal" in analysis.evidence
    assert "segnet_mtan.dwa" in [row.slug for row in analysis.ranking]


def fake_tests(slugs: list[str], p_value: np.ndarray) -> PairTests:
    line, matrix = np.zeros(len(slugs)), np.zeros((len(slugs), len(slugs)))
    one, two = Estimate(line, line), Estimate(matrix, matrix)
    return PairTests(tuple(slugs), line, one, one, matrix, two, matrix, matrix, p_value, line)


def test_marks_need_the_test(analysis: Analysis) -> None:
    column = main_column(analysis.grid)
    order = [row.slug for row in analysis.ranking]
    everywhere = np.full((len(order), len(order)), 0.001)
    assert marks(analysis.grid, column, fake_tests(order, everywhere)) == {order[0]: BEST, order[1]: "second"}
    near = everywhere.copy()
    near[0, 1:3] = near[1:3, 0] = 0.2
    assert marks(analysis.grid, column, fake_tests(order, near)) == {
        order[0]: AHEAD, order[1]: LEVEL_WITH_BEST, order[2]: LEVEL_WITH_BEST,
    }  # fmt: skip


def test_lower_is_better_where_it_says_so(analysis: Analysis) -> None:
    column = next(c for c in analysis.grid.columns if c.name == "depth_abs_error")
    best = min(analysis.grid.rows, key=lambda row: analysis.grid.reported[row.slug][column.name].mean())
    assert best.slug in analysis.marks[column.name]


def test_image_ranks_add_up(analysis: Analysis) -> None:
    slugs = [row.slug for row in analysis.grid.rows]
    ranks = image_ranks(analysis.grid, analysis.evidence, slugs)
    assert list(ranks) == ["all tasks", "segmentation", "depth", "normals"]
    for table in ranks.values():
        assert table.shape == (10, len(slugs))
        assert table.sum(1) == pytest.approx(np.full(10, len(slugs) * (len(slugs) + 1) / 2))
