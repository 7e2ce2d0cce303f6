"""Inverse depth (scaled disparity), the depth task of CityScapes."""

import dataclasses
from typing import Annotated, ClassVar

from pydantic import Field

from mtlbench.metrics.metric import Metric
from mtlbench.tasks import InverseDistances
from mtlbench.tasks._distance import DistanceTask


class InverseDepth(DistanceTask):
    """Inverse depth: L1 loss; absolute error in the dataset's unit and relative error, over all valid pixels.

    Targets (N, 1, H, W), larger = nearer, 0 = invalid. The relative error is a plain ratio and large where the
    target is nearly 0, as in the published tables of CityScapes.
    """

    metrics: tuple[Metric, ...] = (
        Metric("abs_error", "Abs. err.", "", False, decimals=4, primary=True),
        Metric("rel_error", "Rel. err.", "", False, decimals=2),
    )
    maps = InverseDistances()
    error_range: tuple[float, float, str] = (0.0, 0.1, "")
    colours: ClassVar[str] = "viridis"

    def __init__(
        self,
        *,
        unit: Annotated[str, Field(description="unit of the stored values, e.g. 1/m; empty for a bare ratio")] = "",
        largest: Annotated[float, Field(gt=0, description="value drawn in the brightest colour")] = 0.4,
    ) -> None:
        self.metrics = (dataclasses.replace(InverseDepth.metrics[0], unit=unit), InverseDepth.metrics[1])
        self.display_range = (0.0, largest)
        self.error_range = (0.0, largest / 4, unit)
