"""Delta_m: the mean relative gain over the single-task baselines, in percent, higher is better.

Three definitions are in use and can disagree in sign on one and the same row:

- ``flat``: mean over all metrics of all tasks (Navon et al., ICML 2022; Liu et al., FAMO, NeurIPS 2023, who print
  it with the opposite sign);
- ``per_task``: mean over the metrics of each task first, then over tasks (Lin and Zhang, LibMTL, JMLR 2023);
- ``primary``: one metric per task (Vandenhende et al., TPAMI 2021; Liu et al., Auto-Lambda, TMLR 2022).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mtlbench.metrics.metric import Metric

DEFINITIONS = ("flat", "per_task", "primary")

Values = Mapping[str, Mapping[str, float]]


def relative_gain(value: Any, baseline: Any, metric: Metric) -> Any:
    """(value - baseline) / baseline x 100, negated when lower is better; NaN when it is not defined.

    Floats or arrays that broadcast; NaN where the baseline is 0 or either side is not finite.
    """
    value, baseline = np.asarray(value, np.float64), np.asarray(baseline, np.float64)
    defined = np.isfinite(value) & np.isfinite(baseline) & (baseline != 0)
    difference = np.where(defined, value - np.where(defined, baseline, 0), np.nan)
    return difference / np.where(defined, baseline, 1) * (100 if metric.higher_is_better else -100)


def delta_m(values: Values, baseline: Values, metrics: Mapping[str, Sequence[Metric]], definition: str) -> float:
    """Delta_m in percent of ``values`` {task: {metric: value}} against ``baseline``, by one of ``DEFINITIONS``.

    ``metrics`` says which tasks and metrics count and their directions; secondary ones do not. NaN when any of the
    values is missing: a mean over fewer metrics would not be comparable with its neighbours.
    """
    nan = float("nan")
    gains = [
        weight * relative_gain(values.get(task, {}).get(m.name, nan), baseline.get(task, {}).get(m.name, nan), m)
        for (task, m), weight in metric_weights(metrics, definition).items()
    ]
    return float(sum(gains)) if gains else nan


def metric_weights(metrics: Mapping[str, Sequence[Metric]], definition: str) -> dict[tuple[str, Metric], float]:
    """{(task, metric): its weight in Delta_m}, the weights add up to one; metrics that do not count are left out."""
    if definition not in DEFINITIONS:
        raise ValueError(f"definition: expected one of {DEFINITIONS}, found {definition!r}")
    counted = {task: [m for m in found if not m.secondary] for task, found in metrics.items()}
    chosen = {task: [m for m in found if m.primary or definition != "primary"] for task, found in counted.items()}
    chosen = {task: found for task, found in chosen.items() if found}
    if definition == "flat":
        total = sum(len(found) for found in chosen.values())
        return {(task, m): 1 / total for task, found in chosen.items() for m in found}
    return {(task, m): 1 / (len(chosen) * len(found)) for task, found in chosen.items() for m in found}
