"""Where a number comes from: commit, source, versions, machine."""

import functools
import hashlib
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

from mtlbench.plan import extensions

_PACKAGES = ("torch", "torchvision", "numpy", "pandas", "snakemake", "dvc", "mtlbench")


def record() -> dict[str, Any]:
    """Versions, commit and source digest, also of extensions in use; no user name, no environment variable, no path."""
    found: dict[str, Any] = {"versions": versions(), "commit": commit(), "source": source_digest()}
    outside = extensions.names(extensions.folders())
    if outside:
        found["extensions"] = {
            name: {"commit": commit(folder), "source": source_digest(folder)} for folder, name in outside.items()
        }
    return found


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a number."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def commit(folder: Path | None = None) -> str | None:
    """The git commit of the source, with ``+changes`` when the source differs from it; None without git."""
    folder = folder or extensions.package()
    try:
        head = _git(folder, "rev-parse", "HEAD")
        return head + ("+changes" if _git(folder, "status", "--porcelain", "--", str(folder)) else "")
    except (OSError, subprocess.CalledProcessError):
        return None


@functools.cache
def source_digest(folder: Path | None = None) -> str:
    """SHA-256 over all source files of the package, 16 digits: tells apart what a commit with changes cannot."""
    folder = folder or extensions.package()
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:16]


def _git(folder: Path, *arguments: str) -> str:
    result = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return result.stdout.strip()
