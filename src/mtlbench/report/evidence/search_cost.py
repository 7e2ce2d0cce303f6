"""What a row cost with its search: hours of all trials and final runs, and the expected best of k trials for them."""

from dataclasses import dataclass

import numpy as np

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.tuning import Tuned, expected_best
from mtlbench.report.rows.cells import LoadedCell
from mtlbench.report.rows.costs import cost
from mtlbench.report.rows.grid import Row


@dataclass(frozen=True)
class SearchCost:
    """One row of the tables; a single-task row adds up its networks, each with its own search.

    ``trials`` and ``finals`` are hours of wall clock on the device, NaN where a manifest does not say; those of a trial
    that diverged count. ``best`` (k,) is the expected best held-out score of k trials in percent (of a single-task row
    the mean over its tasks' networks), ``hours`` (k,) what k trials take on average. ``stopped`` trials were stopped
    early; they count with their own hours.
    """

    row: Row
    trials: float
    finals: float
    best: np.ndarray
    hours: np.ndarray
    stopped: int = 0

    @property
    def total(self) -> float:
        """Hours of the search and the final runs."""
        return self.trials + self.finals


def search_costs(analysis: Analysis) -> list[SearchCost]:
    """All rows of the grid that were searched, in its order; [] without a search."""
    found = []
    for row in analysis.grid.rows:
        networks = [one for one in analysis.tuned if one.model == row.model and _is_of(one, row)]
        if networks:
            found.append(_cost(row, networks))
    return found


def _is_of(one: Tuned, row: Row) -> bool:
    return one.single_task if row.single_task else one.weighting == row.weighting


def _cost(row: Row, networks: list[Tuned]) -> SearchCost:
    tried = sum(sum(_hours(run) for run in one.runs) for one in networks)
    counts = {len(one.scores) for one in networks}
    numbers = np.arange(1, min(counts) + 1)
    best = np.mean([expected_best(one.scores)[: len(numbers)] for one in networks], axis=0)
    seconds = cost(row).device_seconds if not row.missing else None
    finals = float("nan") if seconds is None else seconds / 3600
    stopped = sum(len(one.stopped) for one in networks)
    return SearchCost(row, tried, finals, best, tried * numbers / max(counts), stopped)


def _hours(run: LoadedCell | None) -> float:
    """What its manifest says; NaN where there is none."""
    seconds = run.facts.get("seconds_total") if run is not None else None
    return float(seconds) / 3600 if isinstance(seconds, (int, float)) else float("nan")
