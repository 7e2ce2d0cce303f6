"""Unequal training sets are told."""

from collections.abc import Callable
from dataclasses import replace

from mtlbench.report.build import _table_caption
from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.page.findings import findings
from mtlbench.report.rows.grid import Grid
from mtlbench.report.rows.images import unequal_images
from mtlbench.report.rows.text import protocol_text


def with_images(grid: Grid, train_of: Callable[[str], tuple[int, int]]) -> Grid:
    """The grid as if the manifests counted (training, held-out) images by weighting."""

    def told(cell):
        train, held_out = train_of(cell.cell.weighting)
        images = {"train": train, "held_out": held_out, "test": 10}
        return replace(cell, manifest=replace(cell.manifest, facts={**cell.facts, "dataset": {"images": images}}))

    rows = [replace(row, cells=tuple(told(cell) for cell in row.cells)) for row in grid.rows]
    return replace(grid, rows=tuple(rows))


def test_rows_with_fewer_training_images_are_named_in_findings_and_caption(analysis: Analysis) -> None:
    grid = with_images(analysis.grid, lambda weighting: (58, 6) if weighting == "dwa" else (64, 0))
    sentence = (
        "The rows had unequal training images: segnet_mtan · dwa, segnet_split · dwa trained on 58 images and looked "
        "at 6 held out; all others trained on 64 (protocol.share gives every row the same)."
    )
    assert unequal_images(grid) == sentence
    assert sentence in findings(replace(analysis, grid=grid))
    assert sentence in _table_caption(grid)


def test_equal_or_unknown_numbers_of_images_are_not_told(analysis: Analysis) -> None:
    assert unequal_images(analysis.grid) == ""
    assert unequal_images(with_images(analysis.grid, lambda _: (58, 6))) == ""


def test_domains_have_images_of_their_own_which_is_no_inequality(analysis: Analysis) -> None:
    grid = with_images(analysis.grid, lambda weighting: (60, 0) if weighting == "dwa" else (240, 0))
    assert unequal_images(grid)
    training = {**grid.input.training, "domains": "together"}
    assert unequal_images(replace(grid, input=replace(grid.input, training=training))) == ""


def test_the_protocol_tells_that_every_row_holds_images_out() -> None:
    protocol = {"name": "paper", "last_epochs": 1, "share": 0.1}
    assert protocol_text(protocol).endswith("From every row 10 % of the training set is held out.")
    assert "held out" not in protocol_text(protocol | {"share": None})
