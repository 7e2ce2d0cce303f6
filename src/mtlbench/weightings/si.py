"""Scale-invariant sum: the sum of the logarithms of the losses."""

from typing import ClassVar

from torch import Tensor

from mtlbench.weightings import Weighting, positive


class SI(Weighting):
    """The sum of log L_t: weights 1 / L_t, so multiplying a loss by a constant changes nothing.

    The baseline "SI" of Navon et al., "Multi-Task Learning as a Bargaining Game", ICML 2022 (arXiv 2202.01017),
    section 6. Losses must not be negative; one below 1e-12 counts as 1e-12 in the weights.
    """

    display: ClassVar[str] = "SI"
    paper: ClassVar[str] = "Navon et al., ICML 2022 (arXiv 2202.01017)"
    paper_title: ClassVar[str] = "Multi-Task Learning as a Bargaining Game"

    def weights(self, losses: Tensor) -> Tensor:
        """The inverse losses (T,)."""
        return 1.0 / positive(losses)
