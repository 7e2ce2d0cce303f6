"""A weighting that judges a network by the single-task networks of the same grid, on the same held-out images."""

import csv
import itertools
import math

import pytest

from mtlbench import pipeline
from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.runs.manifest import write
from mtlbench.system.errors import DataError, DivergedError, ParamsError
from mtlbench.training.cell import run_cell

from .conftest import contents, forget

JUDGED = "tiny/segnet_split/pivrg/seed0"
HELD_OUT = "{name: held_out, share: 0.34}"
SEARCH = (
    "{trials: 1, epochs: 1, held_out: 0.34, rule: primary_gain, space: {optimizer: {learning_rate: {values: [0.001]}}}}"
)
#: Metrics that count of each task, and whether higher is better.
METRICS = {
    "segmentation": {"miou": 1, "pixel_accuracy": 1},
    "depth": {"abs_error": -1, "rel_error": -1},
    "normals": {"angle_mean": -1, "angle_median": -1, "within_11_25": 1, "within_22_5": 1, "within_30": 1},
}


@pytest.fixture
def judged(project, edit) -> grid.Cell:
    edit("{name: paper, last_epochs: 2}", HELD_OUT)
    edit("dwa: {temperature: 2.0}", "pivrg: {}\n      mean: {of: pivrg}")
    pipeline.prepare(load(), "rooms")
    return grid.cell(load(), JUDGED)


def singles() -> list[grid.Cell]:
    return [cell for cell in grid.cells(load(), "tiny") if cell.model == "segnet_single"]


def rows(cell: grid.Cell) -> list[dict[str, float]]:
    with open(cell.folder / "history.csv", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def best(cell: grid.Cell) -> dict[str, float]:
    """The row of the epoch with the best primary metric."""
    primary = {"segmentation": ("miou", 1), "depth": ("abs_error", -1), "normals": ("angle_mean", -1)}
    name, sign = primary[cell.tasks[0]]
    return max(rows(cell), key=lambda row: sign * row[f"val_{cell.tasks[0]}_{name}"])


def test_the_key_holds_the_keys_of_the_single_task_cells(judged, edit) -> None:
    assert judged.spec["reference"] == {cell.tasks[0]: cell.key for cell in singles()}
    assert set(judged.references.values()) == {cell.manifest for cell in singles()}
    assert judged.starts == {}
    groups = [{cell.weighting for cell in group} for group in grid.stages(load(), "tiny")]
    assert groups == [{*(cell.weighting for cell in singles()), "equal"}, {"pivrg"}, {"mean"}]
    assert "reference" not in grid.cell(load(), "tiny/segnet_split/equal/seed0").spec
    edit("batch_size: 2", "batch_size: 3")
    assert grid.cell(load(), JUDGED).spec["reference"] != judged.spec["reference"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            HELD_OUT,
            "{name: paper, last_epochs: 2}",
            r"weightings.pivrg: .*needs protocol: {name: held_out}; found paper",
        ),
        ("baseline: segnet_single", "baseline: null", r"single-task model of baseline:, which is null"),
        (
            "    baseline: segnet_single\n",
            f"    baseline: segnet_single\n    search: {SEARCH}\n",
            r"expected no 'pivrg' beside 'search'",
        ),
    ],
)
def test_what_it_needs_is_said_before_anything_runs(judged, edit, old: str, new: str, message: str) -> None:
    edit(old, new)
    with pytest.raises(ParamsError, match=message):
        load()


def test_without_the_single_task_results_nothing_is_trained(judged) -> None:
    with pytest.raises(
        DataError, match=r"is judged by the results of .*only_segmentation.*mtlbench train tiny/segnet_s"
    ):
        run_cell(judged, load().runtime)
    for cell in singles():
        write(cell.folder, cell.spec, {}, {"status": "diverged", "reason": "NaN", "data": {}, "dataset": {}})
    with pytest.raises(DivergedError, match=r"there are no results of .*only_segmentation.* to judge by: NaN"):
        run_cell(judged, load().runtime)


def test_priorities_follow_from_the_held_out_metrics_and_a_stopped_run_has_the_same_bytes(judged, stop) -> None:
    for cell in singles():
        run_cell(cell, load().runtime)
    run_cell(judged, load().runtime)
    found, single = rows(judged), {cell.tasks[0]: best(cell) for cell in singles()}
    assert [found[0][f"priority_{task}"] for task in METRICS] == [1.0, 1.0, 1.0]
    for before, row in itertools.pairwise(found):
        z = []
        for task, signs in METRICS.items():
            names = {name: f"val_{task}_{name}" for name in signs}
            gains = [
                signs[name] * (before[at] / single[task][at] - 1) for name, at in names.items() if single[task][at]
            ]
            z.append(-100 * sum(gains) / len(gains))
        powers = [math.exp(value / max((max(z) - min(z)) / math.log(2), 10)) for value in z]
        expected = [3 * power / sum(powers) for power in powers]
        assert [row[f"priority_{task}"] for task in METRICS] == pytest.approx(expected, rel=1e-9)
        assert max(expected) > 1.01, "the tasks differ"
    expected_bytes = contents(judged)
    forget(judged)
    for cell in singles():
        run_cell(cell, load().runtime)
    stop(judged)
    run_cell(judged, load().runtime)
    assert contents(judged) == expected_bytes
