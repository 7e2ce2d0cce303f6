"""Delta_m: the mean relative gain over the single-task baselines, in percent, higher is better.

Three definitions are in use and can disagree in sign on one and the same row:

- ``flat``: mean over all metrics of all tasks (Navon et al., ICML 2022; Liu et al., FAMO, NeurIPS 2023, who print
  it with the opposite sign);
- ``per_task``: mean over the metrics of each task first, then over tasks (Lin and Zhang, LibMTL, JMLR 2023);
- ``primary``: one metric per task (Vandenhende et al., TPAMI 2021; Liu et al., Auto-Lambda, TMLR 2022).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from mtlbench.tasks._base import Metric

DEFINITIONS = ("flat", "per_task", "primary")

Values = Mapping[str, Mapping[str, float]]


def relative_gain(value: float, baseline: float, higher_is_better: bool) -> float:
    """(value - baseline) / baseline x 100, negated when lower is better; NaN when it is not defined."""
    if baseline == 0 or not np.isfinite(baseline) or not np.isfinite(value):
        return float("nan")
    return float((value - baseline) / baseline * 100 * (1 if higher_is_better else -1))


def delta_m(values: Values, baseline: Values, metrics: Mapping[str, Sequence[Metric]], definition: str) -> float:
    """Delta_m in percent of ``values`` {task: {metric: value}} against ``baseline``, by one of ``DEFINITIONS``.

    ``metrics`` says which tasks and metrics count and their directions. NaN when any of the values is missing: a
    mean over fewer metrics would not be comparable with its neighbours.
    """
    if definition not in DEFINITIONS:
        raise ValueError(f"definition: expected one of {DEFINITIONS}, found {definition!r}")
    gains = [
        _gains(values.get(task, {}), baseline.get(task, {}), chosen) for task, chosen in _choose(metrics, definition)
    ]
    if not gains:
        return float("nan")
    if definition == "per_task":
        return float(np.mean([np.mean(task) for task in gains]))
    return float(np.mean(np.concatenate(gains)))


def _choose(metrics: Mapping[str, Sequence[Metric]], definition: str) -> list[tuple[str, list[Metric]]]:
    wanted = {task: [m for m in found if m.primary or definition != "primary"] for task, found in metrics.items()}
    return [(task, found) for task, found in wanted.items() if found]


def _gains(values: Mapping[str, float], baseline: Mapping[str, float], metrics: Sequence[Metric]) -> list[float]:
    nan = float("nan")
    return [relative_gain(values.get(m.name, nan), baseline.get(m.name, nan), m.higher_is_better) for m in metrics]
