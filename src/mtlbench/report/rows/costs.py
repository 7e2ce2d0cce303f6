"""What each row costs: parameters, operations, time, memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mtlbench.report.rows.grid import SINGLE, Grid, Row


@dataclass(frozen=True)
class Cost:
    """Cost of one row. For a single-task row: of all its networks together, as they would replace one another.

    ``flops`` of a forward pass on one image; ``training_flops`` where that computes auxiliary predictions too in
    training; times in seconds; ``device_seconds`` adds all seeds. None where a manifest does not say.
    """

    parameters: float | None
    flops: float | None
    training_flops: float | None
    seconds_per_epoch: float | None
    inference_seconds: float | None
    memory_bytes: float | None
    device_seconds: float | None
    devices: tuple[str, ...]


def cost(row: Row) -> Cost:
    """Sums over the tasks' networks of means over seeds; the largest peak memory."""
    return Cost(
        parameters=_over_networks(row, "parameters"),
        flops=_over_networks(row, "flops"),
        training_flops=_over_networks(row, "training_flops"),
        seconds_per_epoch=_over_networks(row, "seconds_per_epoch"),
        inference_seconds=_over_networks(row, "inference_seconds_per_image"),
        memory_bytes=_over_networks(row, "peak_memory_bytes", largest=True),
        device_seconds=_total(row),
        devices=tuple(sorted({str(cell.facts.get("device", "")) for cell in row.done} - {""})),
    )


def _over_networks(row: Row, key: str, largest: bool = False) -> float | None:
    """Median over seeds (one run on a busy machine does not move it), then the sum (or maximum) over the networks.

    None unless every network is known.
    """
    by_network: dict[tuple[str, ...], list[float]] = {cell.cell.tasks: [] for cell in row.cells}
    for cell in row.done:
        value = cell.facts.get(key)
        if isinstance(value, (int, float)) and np.isfinite(value):
            by_network[cell.cell.tasks].append(float(value))
    if not by_network or not all(by_network.values()):
        return None
    medians = [float(np.median(values)) for values in by_network.values()]
    return max(medians) if largest else sum(medians)


def _total(row: Row) -> float | None:
    values = [cell.facts.get("seconds_total") for cell in row.done]
    known = [float(value) for value in values if isinstance(value, (int, float))]
    return sum(known) if known else None


def cost_table(grid: Grid) -> pd.DataFrame:
    """One row per row of the grid, numbers in plain units; ``training_flops`` only where a row has them."""
    records = []
    for row in grid.rows:
        found = cost(row)
        records.append({"model": row.model, "weighting": row.weighting or SINGLE, **vars(found)})
    frame = pd.DataFrame(records)
    frame["devices"] = [", ".join(devices) for devices in frame["devices"]]
    return frame if frame["training_flops"].notna().any() else frame.drop(columns="training_flops")


def pareto(costs: Sequence[float], quality: Sequence[float]) -> list[int]:
    """Positions of the points that no other point beats (cheaper or equal, and better), cheapest first."""
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -quality[i]))
    front: list[int] = []
    for i in order:
        if not front or quality[i] > quality[front[-1]]:
            front.append(i)
    return front
