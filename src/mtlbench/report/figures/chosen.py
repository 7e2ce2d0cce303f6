"""Which rows' curves a page of many rows draws: nobody looks through the curves of hundreds."""

from dataclasses import replace

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.comparisons import main_column
from mtlbench.report.figures.curves import MOST_ACROSS, MOST_COLOURS
from mtlbench.report.figures.style import Picture
from mtlbench.report.rows.grid import Grid

#: Rows whose curves a page draws all; of more those of the best models' best rows: one overview, one figure of each.
MOST_ROWS, MOST_MODELS = 100, MOST_ACROSS


def rows_with_curves(analysis: Analysis) -> Grid:
    """The grid; of more than ``MOST_ROWS`` the single-task ones and the best ``MOST_COLOURS`` of the best models."""
    grid = analysis.grid
    if len(grid.rows) <= MOST_ROWS:
        return grid
    place = {row.slug: at for at, row in enumerate(analysis.ranking)}
    best: dict[str, list[str]] = {}
    for row in sorted(grid.rows, key=lambda row: place.get(row.slug, len(place))):
        if row.done and not row.single_task:
            best.setdefault(row.model, []).append(row.slug)
    kept = {slug for slugs in list(best.values())[:MOST_MODELS] for slug in slugs[:MOST_COLOURS]}
    return replace(grid, rows=tuple(row for row in grid.rows if row.single_task or row.slug in kept))


def told(picture: Picture, analysis: Analysis, shown: Grid) -> Picture:
    """The picture, whose caption says which rows are drawn where these are not all."""
    if shown is analysis.grid:
        return picture
    some, every = ([row.model for row in grid.rows if not row.single_task] for grid in (shown, analysis.grid))
    models, total = len(set(some)), len(set(every))
    which = "each model" if models == total else f"the {models} best of {total} models"
    says = (
        f" Drawn are the best {MOST_COLOURS} rows of {which} by {main_column(analysis.grid).metric.display}, "
        f"{len(some)} of {len(every)} rows; loss and primary metric of all rows are in curves.csv."
    )
    return replace(picture, caption=picture.caption + says)
