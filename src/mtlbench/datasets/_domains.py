"""What datasets of several domains share: a task for each domain, and labels that are empty for the others."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mtlbench.system.errors import ParamsError

#: The kind of every domain's task.
KIND = "classification"
#: What names an array, a column, and a folder of results in the workflow's rules.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
#: A standardised colour z is stored as 127.5 + 25.5 z: those of the Visual Decathlon's domains lie within -5 and 5.
_MIDDLE, _STEP = 127.5, 25.5
#: Arrays that every prepared dataset has.
_TAKEN = ("image", "group")


def tasks_of(classes: Mapping[str, Sequence[str]], fixed: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """``Dataset.tasks`` of domains {name: class names}; the images of ``fixed`` ones are never zoomed or mirrored."""
    return {
        name: {"kind": KIND, "classes": len(names), "class_names": list(names), "augmented": name not in fixed}
        for name, names in classes.items()
    }


def check_names(domains: Iterable[str]) -> None:
    """Raise ParamsError for a domain whose name cannot be that of an array, a column and a part of a path."""
    for name in domains:
        if not _NAME.fullmatch(name) or name in _TAKEN:
            raise ParamsError(
                f"domain {name!r}: expected a name of at most 64 lower-case letters, digits and _, other than "
                f"{' and '.join(_TAKEN)}; rename its folder"
            )


def labels_of(domains: Sequence[str], domain: str, label: int) -> dict[str, np.ndarray]:
    """{task: int16 ()} of an image of ``domain``: its class there, -1 in all others."""
    return {name: np.array(label if name == domain else -1, np.int16) for name in domains}


def standardised(image: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Colours (3, H, W) uint8 as 127.5 + 25.5 z with z = (v / 255 - mean) / deviation, rounded and kept in 0..255.

    ``mean`` and ``deviation`` (3,) are those of the domain's training images, in 0..1.
    """
    z = (image / 255.0 - mean[:, None, None]) / deviation[:, None, None]
    return np.clip(np.rint(_MIDDLE + _STEP * z), 0, 255).astype(np.uint8)
