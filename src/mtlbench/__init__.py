"""A reproducible benchmark of multi-task learning for dense prediction."""

__version__ = "0.2.0"

from mtlbench.plan.extensions import install as _find_entries_outside

_find_entries_outside()
