"""The one plain sentence at the top of the page: did learning the tasks together help, and is that established?"""

import numpy as np

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.comparisons import main_column
from mtlbench.report.evidence.statistics import LEVEL


def headline(analysis: Analysis) -> str:
    """Multi-task rows against the single-task networks in Delta_m, by the tests of that family (Holm, 5 %)."""
    column = main_column(analysis.grid)
    baseline = analysis.grid.baseline
    if column.task or baseline is None:
        return (
            "Whether learning the tasks together helped cannot be said: Δm against single-task networks is not defined."
        )
    tests = analysis.pairs[column.name]
    rows = [row for row in analysis.ranking if not row.single_task and row.slug in tests.slugs]
    if not rows:
        return "Whether learning the tasks together helped is not known yet: no multi-task row has numbers."
    at = [tests.slugs.index(row.slug) for row in rows]
    gains, p_values = tests.means[at], tests.against_baseline[at]
    best = f"the best, {rows[0].label}, by {gains[0]:.1f} %"
    seeds = "one seed" if analysis.seeds < 2 else f"{analysis.seeds} seeds"
    if np.isnan(p_values).all():
        return f"{seeds[0].upper()}{seeds[1:]} cannot show whether learning the tasks together helped."
    sure = p_values < 1 - LEVEL
    if (sure & (gains > 0)).any():
        count = int((sure & (gains > 0)).sum())
        return (
            f"Learning the tasks together helped: {count} of {len(rows)} rows are above single-task networks, {best}."
        )
    if (gains > 0).any():
        count = int((gains > 0).sum())
        return (
            f"{count} of {len(rows)} multi-task rows have a higher mean than the single-task networks ({best}), but "
            f"{seeds} and these test images cannot establish it for any of them."
        )
    if sure.all():
        return f"Learning the tasks together did not help: all {len(rows)} rows are below the single-task networks."
    harm = f"establish that it did harm for {int(sure.sum())}" if sure.any() else "cannot establish harm for any"
    return (
        f"Learning the tasks together did not help here: no row has a higher mean than single-task networks; {seeds} "
        f"and these test images {harm} of {len(rows)} rows."
    )
