"""For tests: a weighting that planning takes and that fails when its run begins."""

from collections.abc import Sequence
from typing import ClassVar

from mtlbench.system.errors import ParamsError
from mtlbench.weightings import Weighting


class Failing(Weighting):
    """Fails."""

    paper: ClassVar[str] = "none"

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        raise ParamsError("this weighting fails in its job")
