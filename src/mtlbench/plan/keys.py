"""Specs and keys: what decides whether a piece of work is done.

A *spec* is a JSON value of all that a result depends on. Its *key* is the SHA-256 of its canonical form,
16 hexadecimal digits. The last file that a job writes is ``manifest.<key>.json``: when it exists, the
result is complete and belongs to exactly that spec (``runs/manifest.py`` reads and writes it).
"""

import hashlib
import json
import math
from typing import Any

from mtlbench.system.errors import ParamsError

Spec = dict[str, Any]


def canonical(spec: Any) -> str:
    """The one JSON text of a spec: sorted keys, no spaces, whole floats written as integers.

    ``1``, ``1.0`` and ``1e0`` are one value in YAML files that people edit, so they give one key.
    """
    return json.dumps(_normal(spec), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def key(spec: Any) -> str:
    """16 hexadecimal digits that identify the spec."""
    return hashlib.sha256(canonical(spec).encode("ascii")).hexdigest()[:16]


def manifest_name(key_: str) -> str:
    """The file name of a manifest."""
    return f"manifest.{key_}.json"


def check_planned(what: str, found: str, planned: str | None) -> None:
    """Refuse a job whose parameters were edited after it was planned; raises ParamsError."""
    if planned is not None and planned != found:
        raise ParamsError(
            f"{what}: this job was planned for key {planned}, but params.yaml now gives {found}: it was edited since. "
            "Start Snakemake again."
        )


def _normal(value: Any) -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, (int, str)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a spec holds finite numbers only, found {value}")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, dict):
        return {str(name): _normal(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_normal(item) for item in value]
    raise TypeError(f"a spec holds JSON values only, found {type(value).__name__}")
