"""The first sentence of the page follows from the tests against the single-task networks."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mtlbench.report.evidence.analysis import Analysis, analyse
from mtlbench.report.page.headline import headline
from mtlbench.report.rows.grid import load_grid
from mtlbench.report.rows.inputs import ReportInput


class Fixed(Analysis):
    """An analysis whose gains and p-values against the baseline are given."""

    def __init__(self, analysis: Analysis, gains: list[float], p_values: list[float]) -> None:
        super().__init__(analysis.grid, analysis.evidence)
        rows = [row.slug for row in analysis.ranking if not row.single_task]
        tests = analysis.pairs["delta_m_flat"]
        means, against = tests.means.copy(), tests.against_baseline.copy()
        for slug, gain, p in zip(rows, gains, p_values, strict=True):
            means[tests.slugs.index(slug)], against[tests.slugs.index(slug)] = gain, p
        self.__dict__["pairs"] = {
            **analysis.pairs,
            "delta_m_flat": replace(tests, means=means, against_baseline=against),
        }


@pytest.mark.parametrize(
    ("gains", "p_values", "said"),
    [
        ([4.0, 1.0], [0.01, 0.4], "helped: 1 of 2 rows are above single-task networks, the best"),
        ([4.0, -1.0], [0.2, 0.4], "1 of 2 multi-task rows have a higher mean"),
        ([-2.0, -9.0], [0.01, 0.001], "did not help: all 2 rows are below"),
        ([-2.0, -9.0], [0.3, 0.001], "establish that it did harm for 1 of 2 rows"),
        ([-2.0, -9.0], [np.nan, np.nan], "2 seeds cannot show whether"),
    ],
)
def test_what_is_said(make: Callable[..., ReportInput], gains, p_values, said: str) -> None:
    analysis = analyse(load_grid(make(models=("segnet_mtan",), images=4)))
    assert said in headline(Fixed(analysis, gains, p_values))


def test_without_a_baseline_nothing_is_said_about_it(make: Callable[..., ReportInput]) -> None:
    report = make(models=("segnet_mtan",), images=4)
    assert "cannot be said" in headline(analyse(load_grid(replace(report, baseline=None))))
    cells = tuple(replace(cell, folder=None, missing="killed") for cell in report.cells if not cell.single_task)
    singles = tuple(cell for cell in report.cells if cell.single_task)
    assert "not known yet" in headline(analyse(load_grid(replace(report, cells=(*singles, *cells)))))
