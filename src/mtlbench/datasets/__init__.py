"""One file is one dataset; beside them what they share: raw files, prepared arrays, geometry, rendered scenes."""

from mtlbench.datasets._base import Dataset, Split

__all__ = ["Dataset", "Split"]
