"""What datasets of several domains share: a task for each domain, and labels that are empty for the others."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: The kind of every domain's task.
KIND = "classification"


def tasks_of(classes: Mapping[str, Sequence[str]], fixed: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """``Dataset.tasks`` of domains {name: class names}; the images of ``fixed`` ones are never zoomed or mirrored."""
    return {
        name: {"kind": KIND, "classes": len(names), "class_names": list(names), "augmented": name not in fixed}
        for name, names in classes.items()
    }


def labels_of(domains: Sequence[str], domain: str, label: int) -> dict[str, np.ndarray]:
    """{task: int16 ()} of an image of ``domain``: its class there, -1 in all others."""
    return {name: np.array(label if name == domain else -1, np.int16) for name in domains}
