"""Delta_m: properties, a row by hand, and the published rows."""

import csv
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtlbench.metrics.delta_m import DEFINITIONS, delta_m, metric_weights, relative_gain
from mtlbench.metrics.metric import Metric
from mtlbench.tasks.depth import Depth
from mtlbench.tasks.normals import Normals
from mtlbench.tasks.segmentation import Segmentation

METRICS = {"segmentation": Segmentation.metrics, "depth": Depth.metrics, "normals": Normals.metrics}
BASELINE = {task: {metric.name: 0.5 for metric in metrics} for task, metrics in METRICS.items()}


def scaled(factor: float) -> dict[str, dict[str, float]]:
    return {
        task: {m.name: 0.5 * (factor if m.higher_is_better else 2 - factor) for m in metrics}
        for task, metrics in METRICS.items()
    }


@pytest.mark.parametrize("definition", DEFINITIONS)
@given(percent=st.floats(-80, 80))
def test_the_same_gain_everywhere_is_delta_m(definition: str, percent: float) -> None:
    found = delta_m(scaled(1 + percent / 100), BASELINE, METRICS, definition)
    assert found == pytest.approx(percent, abs=1e-9)


def test_definitions_weigh_metrics_as_they_say() -> None:
    # nine metrics, three tasks: +10 % on the five of normals, -10 % on the two primary ones of the others
    values = scaled(1.0)
    for metric in Normals.metrics:
        values["normals"][metric.name] *= 1.1 if metric.higher_is_better else 0.9
    values["segmentation"]["miou"] *= 0.9
    values["depth"]["abs_error"] *= 1.1
    assert delta_m(values, BASELINE, METRICS, "flat") == pytest.approx((5 * 10 - 20) / 9)
    assert delta_m(values, BASELINE, METRICS, "per_task") == pytest.approx((10 - 5 - 5) / 3)
    assert delta_m(values, BASELINE, METRICS, "primary") == pytest.approx((10 - 10 - 10) / 3)


def test_a_missing_value_leaves_no_number() -> None:
    values = scaled(1.1)
    del values["depth"]["rel_error"]
    assert math.isnan(delta_m(values, BASELINE, METRICS, "flat"))
    assert delta_m(values, BASELINE, METRICS, "primary") == pytest.approx(10)


@pytest.mark.parametrize(("value", "baseline"), [(1.0, 0.0), (math.nan, 1.0), (1.0, math.nan), (1.0, math.inf)])
def test_undefined_gains(value: float, baseline: float) -> None:
    assert math.isnan(relative_gain(value, baseline, Metric("m", "m", "", True)))


def test_unknown_definition_is_named() -> None:
    with pytest.raises(ValueError, match="'median'"):
        delta_m({}, {}, {}, "median")


def test_published_rows_of_nyuv2(shared) -> None:
    """The flat definition gives the published value within 0.1 on all rows but IMTL-G's."""
    columns = (
        "miou",
        "pix_acc",
        "abs_err",
        "rel_err",
        "angle_mean",
        "angle_median",
        "within_11_25",
        "within_22_5",
        "within_30",
    )
    metrics = {"all": tuple(Metric(c, c, "", not c.startswith(("abs", "rel", "angle"))) for c in columns)}
    with open(shared / "reference" / "published_results.csv", encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["dataset"] == "nyuv2" and r["source"].startswith("NTKMTL")]
    values = {r["weighting"]: {"all": {c: float(r[c]) for c in columns}} for r in rows}
    wrong = [
        r["weighting"]
        for r in rows
        if r["delta_m_published"]
        and abs(-delta_m(values[r["weighting"]], values["stl"], metrics, "flat") - float(r["delta_m_published"])) > 0.1
    ]
    assert len(rows) > 20
    assert wrong == ["imtl_g"]


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_weights_add_up_to_one(definition: str) -> None:
    assert sum(metric_weights(METRICS, definition).values()) == pytest.approx(1)
