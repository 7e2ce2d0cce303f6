"""Depth in metres."""

from typing import Annotated, ClassVar

from pydantic import Field

from mtlbench.metrics.metric import Metric
from mtlbench.system.errors import ParamsError
from mtlbench.tasks import Distances
from mtlbench.tasks._distance import DistanceTask


class Depth(DistanceTask):
    """Depth in metres: L1 loss; absolute error in metres and relative error, over all valid pixels.

    Targets (N, 1, H, W) metres, 0 = invalid.
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
    ) -> None:
        if near >= far:
            raise ParamsError(f"depth: expected near < far, found near {near} and far {far}")
        self.display_range = (near, far)
