"""What a metric is: name, unit and direction of a number that a task reports."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A number that a task reports.

    ``name`` is the key in files; ``display`` and ``unit`` are for people ("mIoU", "%"); the shown value is
    ``scale`` times the stored one, with ``decimals`` digits. ``primary`` marks the one metric that stands for
    the task where a single one is wanted (Delta_m in the definition of Vandenhende et al.). ``secondary`` ones are
    shown, and enter neither Delta_m nor mean ranks.
    """

    name: str
    display: str
    unit: str
    higher_is_better: bool
    decimals: int = 2
    scale: float = 1.0
    primary: bool = False
    secondary: bool = False
