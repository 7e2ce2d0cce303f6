"""Which epoch is chosen: by metrics, in their direction, whatever their units; choosing on the test set flatters."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mtlbench.metrics.delta_m import delta_m
from mtlbench.metrics.metric import Metric
from mtlbench.training import history

METRICS = {
    "segmentation": [Metric("accuracy", "Acc", "%", True), Metric("miou", "mIoU", "%", True, primary=True)],
    "depth": [Metric("error", "Err", "m", False, primary=True)],
}
PRIMARY = {task: [metric for metric in found if metric.primary] for task, found in METRICS.items()}
NAMES = {task: [metric.name for metric in found] for task, found in METRICS.items()}

values = st.one_of(st.floats(1e-6, 1e3), st.sampled_from([0.0, math.nan]))
epochs = st.lists(st.tuples(values, values), min_size=1, max_size=12)


def rows(pairs, split: str = "test") -> list[dict[str, float]]:
    """Rows of (mIoU, error); the other metric and the losses say the opposite and must not count."""
    return [
        {f"{split}_segmentation_miou": miou, f"{split}_segmentation_accuracy": -miou, f"{split}_depth_error": error,
         f"{split}_loss_segmentation": miou, f"{split}_loss_depth": 1 / error if error else math.inf}
        for miou, error in pairs
    ]  # fmt: skip


def gain(record, epoch: int, reported) -> float:
    usable = {task: found for task, found in PRIMARY.items() if reported[task][found[0].name]}
    usable = {task: found for task, found in usable.items() if math.isfinite(reported[task][found[0].name])}
    return delta_m(history.at_epoch(record, epoch, "test", NAMES), reported, usable, "primary")


@settings(max_examples=100, deadline=None)
@given(epochs, st.integers(1, 12))
def test_choosing_on_the_test_set_never_looks_worse_than_what_is_reported(pairs, last: int) -> None:
    record = rows(pairs)
    reported = history.mean_of_last(record, last, "test", NAMES)
    best = history.flattering_epoch(record, "test", METRICS, reported)
    gains = [gain(record, epoch, reported) for epoch in range(len(record))]
    if not any(math.isfinite(value) for value in gains):
        assert best == len(record) - 1
        return
    assert gains[best] == np.nanmax(gains)
    assert gains[best] >= -1e-9
    assert best == gains.index(gains[best]), "the earliest of equal ones"


@settings(max_examples=100, deadline=None)
@given(epochs)
def test_what_is_kept_while_training_is_the_best_of_all_at_the_end(pairs) -> None:
    record = rows(pairs, "val")
    kept = 0
    for epoch in range(len(record)):
        if history.best_epoch(record[: epoch + 1], "val", METRICS) == epoch:
            kept = epoch
    assert kept == history.best_epoch(record, "val", METRICS)


@settings(max_examples=100, deadline=None)
@given(epochs, st.sampled_from([2.0**-10, 2.0**10]), st.integers(0, 11))
def test_units_do_not_matter_and_an_epoch_that_is_better_in_all_is_chosen(pairs, unit: float, where: int) -> None:
    pairs = [(miou, error) for miou, error in pairs if miou > 0 and error > 0]
    assume(pairs)
    record = rows(pairs)
    reported = history.mean_of_last(record, 3, "test", NAMES)
    scaled = rows([(miou, error * unit) for miou, error in pairs])
    other = history.mean_of_last(scaled, 3, "test", NAMES)
    assert history.flattering_epoch(record, "test", METRICS, reported) == history.flattering_epoch(
        scaled, "test", METRICS, other
    )
    best = [history.best_epoch(found, "test", METRICS) for found in (record, scaled)]
    scores = [math.log(pairs[epoch][0] / pairs[epoch][1]) for epoch in best]
    assert scores[0] == pytest.approx(scores[1], rel=1e-9, abs=1e-9)  # equal but for rounding, if not the same
    where %= len(pairs)
    pairs[where] = (2 * max(miou for miou, _ in pairs), min(error for _, error in pairs) / 2)
    better = rows(pairs)
    assert history.best_epoch(better, "test", METRICS) == where
    assert history.flattering_epoch(better, "test", METRICS, history.mean_of_last(better, 1, "test", NAMES)) == where


@pytest.mark.parametrize("zero", [0.0, math.nan])
def test_a_metric_that_is_nothing_in_all_epochs_leaves_the_choice_to_the_others(zero: float) -> None:
    record = rows([(zero, 0.5), (zero, 0.3), (zero, 0.4)])
    assert history.best_epoch(record, "test", METRICS) == 1
    reported = history.mean_of_last(record, 1, "test", NAMES)
    assert history.flattering_epoch(record, "test", METRICS, reported) == 1


def test_equal_relative_changes_of_two_tasks_weigh_the_same() -> None:
    record = rows([(0.10, 1.00), (0.11, 1.09), (0.20, 2.10)])
    assert history.best_epoch(record, "test", METRICS) == 1  # 10 % up for 9 % worse; twice for more than twice
