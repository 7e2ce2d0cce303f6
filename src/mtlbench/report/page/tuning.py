"""The table of chosen settings."""

from typing import Any

import numpy as np

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.tuning import Tuned, fixed_weights, tuned, undominated
from mtlbench.report.figures.tuning import title
from mtlbench.report.rows.text import DASH, number


def chosen_settings(analysis: Analysis) -> list[dict[str, str]]:
    """One record for every row of the search, as text; [] without a search."""
    rows = tuned(analysis.grid)
    return [
        {
            "Row": title(analysis, row),
            "Chosen trial": DASH if row.chosen is None else f"trial{row.chosen} (of {len(row.scores)})",
            "Chosen values of what was searched": _values(row),
            "Held-out score [%] ↑": DASH if row.chosen is None else number(float(row.scores[row.chosen]), 2),
            "Without numbers": str(row.lost),
            "Not beaten by fixed weights": _front(rows, row),
        }
        for row in rows
    ]


def _values(row: Tuned) -> str:
    if row.chosen is None:
        return "every trial diverged"
    return ", ".join(f"{name.replace('_', ' ')} {_text(value)}" for name, value in row.settings[row.chosen].items())


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return " / ".join(f"{name} {_text(part)}" for name, part in value.items())
    return f"{value:g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def _front(rows: list[Tuned], row: Tuned) -> str:
    """How many trials no fixed weights of the same model beat in all tasks; a dash where that cannot be said."""
    fixed = fixed_weights(rows, row.model)
    if fixed is None or row.single_task or not np.isfinite(row.gains).all(1).any():
        return DASH
    return f"{int(undominated(row.gains, fixed).sum())} of {len(row.scores)}"
