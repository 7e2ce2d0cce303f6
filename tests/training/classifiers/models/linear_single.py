"""One linear classifier for each task."""

from typing import ClassVar

from mtlbench.models.linear import Linear


class LinearSingle(Linear):
    """A linear network of one task."""

    family: ClassVar[str] = "linear"
    paper: ClassVar[str] = "none"
    predicts: ClassVar[str] = "classes"
    single_task: ClassVar[bool] = True
