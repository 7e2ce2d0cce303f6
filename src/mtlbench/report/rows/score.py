"""The score S of the Visual Decathlon for the rows of a grid of classifications."""

import numpy as np

from mtlbench.metrics.classification import decathlon_score
from mtlbench.report.rows.grid import Grid, Row

#: Its name in files.
SCORE = "decathlon_score"
_METRIC = "top1"


def largest_errors(grid: Grid, rule: str = "reported") -> np.ndarray | None:
    """(D,) errors at which a domain gives no points: twice those of networks trained for each domain alone.

    Those errors are ``baseline_errors`` of the experiment, or the means over seeds of the grid's baseline. None for a
    grid of one task, or of other tasks than classifications, or when an error is unknown or 0.
    """
    if len(grid.tasks) < 2 or any(task.predicts != "classes" for task in grid.tasks.values()):
        return None
    own = grid.input.baseline_errors
    measured = grid.baseline_values(rule)
    single = [own[name] if own else 1 - measured.get(name, {}).get(_METRIC, np.nan) for name in grid.tasks]
    found = 2 * np.array(single, np.float64)
    return found if (found > 0).all() else None


def scores(grid: Grid, row: Row, rule: str = "reported") -> np.ndarray:
    """(seeds,) S of a row, from 0 to 1000 for each domain; [] where S is not defined."""
    largest = largest_errors(grid, rule)
    if largest is None:
        return np.empty(0)
    runs = [row.values(seed, rule) for seed in row.seeds]
    errors = [[1 - run.get(name, {}).get(_METRIC, np.nan) for name in grid.tasks] for run in runs]
    return decathlon_score(np.array(errors), largest) if errors else np.empty(0)


def about(grid: Grid) -> str:
    """What S is measured by, in a sentence; "" where it is not defined."""
    if largest_errors(grid) is None:
        return ""
    if grid.input.baseline_errors:
        source = "those that params.yaml states"
    else:
        assert grid.baseline is not None
        source = f"those of {grid.baseline.label} here, the mean over its seeds (so that row has about 250 a domain)"
    return (
        f"S: score of the Visual Decathlon, the sum over {len(grid.tasks)} domains of 1000 max(0, 1 − E / E_max)², E "
        f"the share of wrong images, E_max twice the error of a network for the domain alone, {source}."
    )
