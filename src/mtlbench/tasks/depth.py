"""Depth in metres."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor

from mtlbench.metrics import distances
from mtlbench.metrics.metric import Metric
from mtlbench.system.errors import ParamsError
from mtlbench.tasks import Distances
from mtlbench.tasks._distance import DistanceTask


class Depth(DistanceTask):
    """Depth in metres: L1 loss; absolute error in metres and relative error, over all valid pixels.

    Targets (N, 1, H, W) metres, 0 = invalid. With ``thresholds`` it also reports what the tables of NYUD have: the root
    mean square error and the shares of pixels within a factor of 1.25, 1.25^2 and 1.25^3, all over the whole set.
    """

    metrics: tuple[Metric, ...] = (
        Metric("abs_error", "Abs. err.", "m", False, decimals=4, primary=True),
        Metric("rel_error", "Rel. err.", "", False, decimals=4),
    )
    maps = Distances()
    error_range: tuple[float, float, str] = (0.0, 1.5, "m")
    colours: ClassVar[str] = "viridis_r"

    def __init__(
        self,
        *,
        near: Annotated[float, Field(ge=0, description="depth in metres drawn in the nearest colour")] = 0.5,
        far: Annotated[float, Field(gt=0, description="depth in metres drawn in the farthest colour")] = 8.0,
        thresholds: Annotated[
            bool, Field(description="also report RMSE and the shares within 1.25, 1.25^2, 1.25^3; in no Delta_m")
        ] = False,
    ) -> None:
        if near >= far:
            raise ParamsError(f"depth: expected near < far, found near {near} and far {far}")
        self.display_range = (near, far)
        self.thresholds = thresholds
        if thresholds:
            self.metrics = (*Depth.metrics, *distances.METRICS)

    def statistics(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Those of :class:`DistanceTask`, with ``thresholds`` also ``squared`` (N,) and ``within`` (N, 3)."""
        found = super().statistics(prediction, target)
        return found | distances.squares_and_factors(prediction, target, target != 0) if self.thresholds else found

    def reduce_many(self, totals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The metrics (...) from sums (...)."""
        found = super().reduce_many(totals)
        if not self.thresholds:
            return found
        return found | distances.root_and_shares(totals["squared"], totals["within"], totals["count"])
