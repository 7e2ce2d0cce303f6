"""Which rows' curves a page of many rows draws: nobody looks through the curves of hundreds."""

from dataclasses import replace

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.evidence.comparisons import main_column
from mtlbench.report.figures.curves import MOST_COLOURS
from mtlbench.report.figures.style import Picture
from mtlbench.report.rows.grid import Grid

#: Rows whose curves a page draws all; of more those of each model's best rows, as many as have a colour in one figure.
MOST_ROWS = 100


def rows_with_curves(analysis: Analysis) -> Grid:
    """The grid; of more than ``MOST_ROWS`` rows the single-task ones and each model's ``MOST_COLOURS`` best."""
    grid = analysis.grid
    if len(grid.rows) <= MOST_ROWS:
        return grid
    place = {row.slug: at for at, row in enumerate(analysis.ranking)}
    best: dict[str, list[str]] = {}
    for row in sorted(grid.rows, key=lambda row: place.get(row.slug, len(place))):
        if row.done and not row.single_task:
            best.setdefault(row.model, []).append(row.slug)
    kept = {slug for slugs in best.values() for slug in slugs[:MOST_COLOURS]}
    return replace(grid, rows=tuple(row for row in grid.rows if row.single_task or row.slug in kept))


def told(picture: Picture, analysis: Analysis, shown: Grid) -> Picture:
    """The picture, whose caption says which rows are drawn where these are not all."""
    if shown is analysis.grid:
        return picture
    multi = [sum(not row.single_task for row in grid.rows) for grid in (shown, analysis.grid)]
    says = (
        f" Drawn are the best {MOST_COLOURS} rows of each model by {main_column(analysis.grid).metric.display}, "
        f"{multi[0]} of {multi[1]}; loss and primary metric of all rows are in curves.csv."
    )
    return replace(picture, caption=picture.caption + says)
