"""What the figures draw, before it becomes pixels of a plot."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from mtlbench.report.evidence.analysis import Analysis
from mtlbench.report.figures import all as every_figure
from mtlbench.report.figures import chosen, curves
from mtlbench.report.figures.aggregate import aggregates
from mtlbench.report.figures.classes import label_empty
from mtlbench.report.figures.curves import band, line_look, mark_clipped, sensible_range
from mtlbench.report.figures.equal_loss import at_equal_loss
from mtlbench.report.figures.gains import gain_matrix
from mtlbench.report.figures.mosaic import error_picture, mosaic, overlay, wrong_over
from mtlbench.report.figures.panels import row_samples
from mtlbench.report.figures.rankings import _cliques, forest, pair_matrix, pairwise, rows_with_evidence
from mtlbench.report.figures.style import Picture, chunks, new_figure, save
from mtlbench.report.figures.trajectories import trajectories
from mtlbench.report.rows.grid import Grid, Row, load_grid
from mtlbench.report.rows.inputs import ReportInput
from mtlbench.runs import manifest as manifests
from mtlbench.runs.manifest import Manifest, Output


def test_a_band_is_one_standard_deviation_around_the_mean() -> None:
    axes = Figure().subplots()
    band(axes, pd.DataFrame({0: [1.0, 2.0, 3.0], 1: [3.0, 2.0, 5.0]}), "#000000", scale=100)
    assert axes.get_lines()[0].get_xdata().tolist() == [1, 2, 3]
    assert axes.get_lines()[0].get_ydata().tolist() == [200, 200, 400]
    edges = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert edges.max() == pytest.approx(400 + 100 * np.sqrt(2))
    assert edges.min() == pytest.approx(200 - 100 * np.sqrt(2))


def test_one_seed_has_no_band() -> None:
    axes = Figure().subplots()
    band(axes, pd.DataFrame({0: [1.0, 2.0, 3.0]}), "#000000")
    assert len(axes.get_lines()) == 1
    assert not axes.collections


def test_wild_first_epochs_do_not_flatten_the_rest() -> None:
    axes = Figure().subplots()
    axes.plot(range(100), [1000.0, 50.0, *np.linspace(2, 1, 98)])
    sensible_range(axes)
    assert axes.get_ylim()[1] < 60


def test_clipped_curves_are_marked() -> None:
    axes = Figure().subplots()
    axes.plot([1, 2, 3, 4], [9.0, 1.0, 2.0, -5.0])
    axes.set_ylim(0, 3)
    assert mark_clipped(axes)
    up, down = axes.get_lines()[1:]
    assert (up.get_xdata().tolist(), up.get_ydata().tolist(), up.get_marker()) == ([1], [1], "^")
    assert (down.get_xdata().tolist(), down.get_ydata().tolist(), down.get_marker()) == ([4], [0], "v")
    axes.set_ylim(-9, 9)
    axes.lines[-1].remove()
    axes.lines[-1].remove()
    assert not mark_clipped(axes)


def test_equal_curves_all_stay_in_sight() -> None:
    looks = [line_look(i, 7) for i in range(7)]
    widths = [look["linewidth"] for look in looks]
    assert widths == sorted(widths, reverse=True)
    assert min(np.diff(widths[::-1])) > 0.2  # a later curve leaves the rim of the earlier one
    assert len({look["marker"] for look in looks}) == len({look["markevery"] for look in looks}) == 7


def test_a_bar_without_length_says_0() -> None:
    axes = Figure().subplots()
    label_empty(axes, np.arange(3), np.array([0.0, 12.0, np.nan]), "#000000")
    assert [(text.get_text(), text.get_position()[1]) for text in axes.texts] == [("0.0", 0), ("–", 2)]


def test_cliques_are_maximal_runs_within_the_distance() -> None:
    assert _cliques(np.array([1.0, 1.4, 2.1, 3.5, 3.6]), 1.0) == [(0, 1), (1, 2), (3, 4)]
    assert _cliques(np.array([1.0, 3.0, 5.0]), 1.0) == []
    assert _cliques(np.array([1.0, 1.1, 1.2]), 1.0) == [(0, 2)]


def test_probabilities_of_a_pair_add_up_to_one(analysis: Analysis) -> None:
    matrix = pair_matrix(analysis, rows_with_evidence(analysis, 20)).to_numpy()
    together = matrix + matrix.T
    assert np.isnan(np.diag(together)).all()
    assert together[np.triu_indices(len(matrix), 1)] == pytest.approx(1.0)


def test_samples_of_a_single_task_row_come_from_its_three_cells(analysis: Analysis) -> None:
    samples = row_samples(analysis.grid.rows[0])
    assert {"image", "indices", *(f"prediction_{name}" for name in analysis.grid.tasks)} <= set(samples)
    assert not [name for name in samples if name.startswith("attention_")]
    assert [n for n in row_samples(analysis.grid.rows[1]) if n.startswith("attention_normals/")]


def test_error_pictures(analysis: Analysis) -> None:
    task = analysis.grid.tasks["depth"]
    target = np.array([[[2.0, 2.0, 0.0]]], np.float16)
    prediction = np.array([[[2.0, 9.0, 5.0]]], np.float16)
    black, bright, none = error_picture(task, prediction, target)[0]
    assert black.max() < 6
    assert bright.min() > 100
    assert (none == 188).all()


def test_overlays() -> None:
    photograph = np.full((1, 2, 3), 100, np.uint8)
    assert (overlay(photograph, np.full((1, 2, 3), 200, np.uint8)) == 150).all()
    right, wrong = wrong_over(photograph, np.array([[0.0, 1.0]], np.float32))[0]
    assert (right == 100).all()
    assert wrong[0] > 150 > wrong[1]


def test_mosaic_leaves_gaps_and_invalid_pixels_white() -> None:
    picture = np.zeros((6, 60, 3), np.uint8)
    axes = mosaic([[picture, None], [picture, picture]], ["a", "b"], ["x", "y"]).axes[0]
    canvas = axes.images[0].get_array()
    assert canvas.shape == (13, 121, 3)
    assert (canvas[6] == 255).all()
    assert (canvas[:6, 61:] == 255).all()
    assert (canvas[7:, 61:] == 0).all()


@pytest.mark.parametrize(("count", "size", "wanted"), [(0, 5, []), (5, 5, [5]), (6, 5, [3, 3]), (11, 5, [4, 4, 3])])
def test_chunks_are_even(count: int, size: int, wanted: list[int]) -> None:
    assert [len(part) for part in chunks(list(range(count)), size)] == wanted


def test_only_what_varies_is_drawn(make: Callable[..., ReportInput], tmp_path: Path) -> None:
    grid = load_grid(make(models=("segnet_split",), weightings=("equal", "dwa", "pcgrad"), images=3))
    drawn = trajectories(grid, "segnet_split", tmp_path)
    assert [picture.name for picture in drawn] == [f"{kind}_segnet_split" for kind in ("weights", "norms", "cosines")]
    assert all((tmp_path / file).is_file() for picture in drawn for file in picture.files)


def test_of_many_rows_the_curves_of_the_best_are_drawn(
    analysis: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = {curves.overview, curves.model_curves, curves.all_metrics, trajectories}

    def sections() -> tuple[list[Grid], list[Picture]]:
        grids = []

        def pretend(jobs: list[Any], workers: int) -> list[list[Picture]]:
            grids.extend(job.args[0] for job in jobs if job.func in drawn)
            return [[Picture("one", "Lines.", "", ("one.svg",), 1, 1)] if job.func in drawn else [] for job in jobs]

        monkeypatch.setattr(every_figure, "run_forked", pretend)
        return grids, every_figure.draw_all(analysis, tmp_path).pictures

    grids, pictures = sections()
    assert len(grids) == len(pictures) == 1 + 3 * 2
    assert {id(grid) for grid in grids} == {id(analysis.grid)}
    assert {picture.caption for picture in pictures} == {"Lines."}
    monkeypatch.setattr(chosen, "MOST_ROWS", 4)
    monkeypatch.setattr(chosen, "MOST_COLOURS", 1)
    best = [row.slug for row in analysis.leaders]
    first = [row.slug for row in analysis.leaders if row.single_task or row is analysis.ranking[0]]
    which = {2: (best, "each model by Δm flat, 2 of 4 rows; "), 1: (first, "the 1 best of 2 models by Δm flat, 1 of ")}
    for models, (slugs, says) in which.items():
        monkeypatch.setattr(chosen, "MOST_MODELS", models)
        grids, pictures = sections()
        assert [[row.slug for row in grid.rows] for grid in grids] == [slugs] * (1 + 3 * models)
        (caption,) = {picture.caption for picture in pictures}
        assert caption.startswith(f"Lines. Drawn are the best 1 rows of {says}")


def test_held_out_curves_stand_in_for_the_test_set(make: Callable[..., ReportInput]) -> None:
    report = make(models=("segnet_split",), weightings=("equal",), images=3)
    assert load_grid(report).unseen == "test"
    for cell in report.cells:
        path = cell.folder / "history.csv"
        path.write_text(path.read_text().replace("test_", "val_"))
        manifest = Manifest.read(manifests.find(cell.folder))
        replace(manifest, outputs={**manifest.outputs, "history.csv": Output.of(path)}).save()
    assert load_grid(report).unseen == "val"


def test_a_figure_is_laid_out_and_then_drawn_once_into_each_file(tmp_path: Path, monkeypatch) -> None:
    draw, drawn = Figure.draw, []
    monkeypatch.setattr(Figure, "draw", lambda figure, renderer: drawn.append(figure) or draw(figure, renderer))
    for name, own in (("plain", {}), ("with_settings", {"figure.autolayout": True})):
        with matplotlib.rc_context(own):  # what a user has set for figures of their own
            figure = new_figure(3, 2)
            figure.subplots(1, 2)[1].set_ylabel("a label that needs room")
            save(figure, tmp_path, name, "caption", "alt")
    assert len(drawn) == 2 * 2
    for kind in ("svg", "png"):
        plain, other = (tmp_path / f"figures/{name}.{kind}" for name in ("plain", "with_settings"))
        assert plain.read_bytes() == other.read_bytes()


def test_rows_with_long_titles_leave_the_plots_their_room(analysis: Analysis, tmp_path: Path, monkeypatch) -> None:
    title = "SegNet (MTAN) · " + "a weighting named by several of its options, " * 3
    monkeypatch.setattr(Row, "label", property(lambda row: f"{title}{row.slug}"))
    shares: dict[str, float] = {}

    def measured(figure: Figure, file: Any, *, format: str, **options: Any) -> None:
        shares[figure.axes[0].get_xlabel() or str(len(shares))] = min(figure.axes[0].get_position().size)

    monkeypatch.setattr(Figure, "savefig", measured)
    drawn = [draw(analysis, tmp_path) for draw in (aggregates, gain_matrix, forest, pairwise, at_equal_loss)]
    assert None not in drawn
    assert min(shares.values()) > 0.2, shares
