"""A reproducible benchmark of multi-task learning for dense prediction."""

from pathlib import Path
from typing import TYPE_CHECKING

from mtlbench.plan.extensions import install as _find_entries_outside

if TYPE_CHECKING:
    from mtlbench.inference.network import Network

__version__ = "0.2.0"
__all__ = ["load"]

_find_entries_outside()


def load(source: str | Path, device: str = "auto") -> "Network":
    """A trained network that is ready to predict.

    ``source`` is the name of a finished cell (``experiment/model/weighting/seed0``), its folder, or a checkpoint file
    alone; ``device`` is auto (a GPU when there is one), cpu or cuda:<n>. Raises DataError that says what is wrong with
    ``source``, ParamsError for a device that is not there.
    """
    from mtlbench.inference.load import load as find

    return find(source, device)
