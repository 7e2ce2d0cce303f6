"""By how much a choice of the setting on the test set would flatter: the oracle that nobody may use.

Every trial evaluates the test set once, with the network of its best held-out epoch. The oracle takes the trial with
the largest mean gain of the primary metrics on the test images over the baseline's chosen trials there: the rule of the
selection, on the wrong images. A trial that was stopped at a rung has not seen them. Protocols that select so are named
after DomainBed (Gulrajani and Lopez-Paz, ICLR 2021).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.tuning import Tuned, gain

Values = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Oracle:
    """One row of a search: the trial that the test set would have chosen instead of ``row.chosen``.

    ``optimism`` is its test score minus that of the chosen trial, in percentage points, at least 0. ``gains`` are its
    gains over the chosen trial in all metrics ({column name: percent}, positive is better, NaN where undefined).
    """

    row: Tuned
    trial: int
    optimism: float
    gains: Mapping[str, float]


def oracles(analysis: Analysis) -> list[Oracle]:
    """All rows of the search whose trials have numbers on the test set; a row without its chosen trial is left out."""
    reference: dict[str, Mapping[str, float]] = {}
    for row in analysis.tuned:
        if row.single_task and row.model == analysis.grid.input.baseline:
            reference |= _chosen(row)
    found = (_oracle(analysis, row, reference) for row in analysis.tuned)
    return [one for one in found if one is not None]


def _oracle(analysis: Analysis, row: Tuned, reference: Values) -> Oracle | None:
    tested, chosen = _tested(row), _chosen(row)
    if not chosen or len(tested) < np.isfinite(np.delete(row.scores, list(row.stopped))).sum():
        return None
    columns = [column for column in analysis.grid.columns if column.task in chosen]
    primary = [column for column in columns if column.metric.primary]
    scores = {
        trial: float(np.mean([gain(values, reference, column) for column in primary]))
        for trial, values in tested.items()
    }
    known = {trial: score for trial, score in scores.items() if np.isfinite(score)}
    if row.chosen not in known:
        return None
    best = max(known, key=lambda trial: (known[trial], trial == row.chosen, -trial))
    gains = {column.name: gain(tested[best], chosen, column) for column in columns}
    return Oracle(row, best, known[best] - known[row.chosen], gains)


def _tested(row: Tuned) -> dict[int, Values]:
    """{trial: {task: {metric: value}}} on the test images, of the trials with numbers."""
    return {
        number: run.metrics["reported"]
        for number, run in enumerate(row.runs)
        if run is not None and not run.missing and np.isfinite(row.scores[number])
    }


def _chosen(row: Tuned) -> Values:
    return _tested(row).get(-1 if row.chosen is None else row.chosen, {})
