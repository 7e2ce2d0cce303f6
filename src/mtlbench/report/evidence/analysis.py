"""Everything the report shows that takes computing, once, for all tables and figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from mtlbench.metrics.ranks import mean_ranks
from mtlbench.report.evidence.comparisons import all_pairs, main_column, marks
from mtlbench.report.evidence.pairs import PairTests
from mtlbench.report.evidence.per_image import RowEvidence, collect
from mtlbench.report.evidence.tuning import Tuned, tuned
from mtlbench.report.rows.grid import DELTA_COLUMNS, Column, Grid, Row, mean


@dataclass(frozen=True)
class Analysis:
    """The grid with the evidence on its rows and what follows from both."""

    grid: Grid
    evidence: Mapping[str, RowEvidence]

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Columns of the comparison table: metrics, then Delta_m when there is a baseline."""
        return (*self.grid.columns, *(DELTA_COLUMNS if self.has_baseline else ()))

    @property
    def has_baseline(self) -> bool:
        """Whether Delta_m can be computed."""
        return self.grid.baseline is not None and bool(self.grid.baseline.seeds)

    @cached_property
    def pairs(self) -> dict[str, PairTests]:
        """{column name: tested pairs}."""
        return {column.name: all_pairs(self.grid, column, self.evidence) for column in self.columns}

    @cached_property
    def tuned(self) -> list[Tuned]:
        """The rows of the experiment's search; [] without one."""
        return tuned(self.grid)

    @cached_property
    def marks(self) -> dict[str, dict[str, str]]:
        """{column name: {row slug: mark}}."""
        return {column.name: marks(self.grid, column, self.pairs[column.name]) for column in self.columns}

    @cached_property
    def mean_rank(self) -> pd.Series:
        """Mean rank over all metrics of each row, by slug; 1 is best."""
        scores = pd.DataFrame({c.name: self.scores(c) for c in self.grid.counted})
        return mean_ranks(scores)

    def scores(self, column: Column) -> pd.Series:
        """Mean over seeds of each row in a column, by slug, negated where lower is better."""
        sign = 1 if column.metric.higher_is_better else -1
        return pd.Series({r.slug: sign * mean(self.grid.reported[r.slug][column.name]) for r in self.grid.rows})

    @cached_property
    def ranking(self) -> list[Row]:
        """Rows with numbers, best first, by the main column."""
        scores = self.scores(main_column(self.grid)).dropna()
        order = scores.sort_values(ascending=False, kind="stable").index
        rows = {row.slug: row for row in self.grid.rows}
        return [rows[slug] for slug in order]

    @cached_property
    def leaders(self) -> list[Row]:
        """For each model the row with the best main column, in the order of the grid."""
        best: dict[str, Row] = {}
        for row in self.ranking:
            best.setdefault(row.model, row)
        return [row for row in self.grid.rows if best.get(row.model) is row]

    @cached_property
    def parameter_ratio(self) -> dict[str, float]:
        """#P: parameters relative to the mean of one single-task network of the baseline, by slug."""
        from mtlbench.report.rows.costs import cost

        baseline = cost(self.grid.baseline).parameters if self.grid.baseline is not None else None
        one = baseline / len(self.grid.tasks) if baseline else None
        counts = {row.slug: cost(row).parameters for row in self.grid.rows}
        return {slug: value / one if one and value else float("nan") for slug, value in counts.items()}

    @property
    def seeds(self) -> int:
        """The largest number of complete seeds of any row."""
        return max((len(row.seeds) for row in self.grid.rows), default=0)


def analyse(grid: Grid) -> Analysis:
    """Read the per-image files and set up everything else, which is computed when it is asked for."""
    with np.errstate(all="ignore"):
        return Analysis(grid, collect(grid))
