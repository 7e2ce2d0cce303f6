"""Where everything of the project lies: the only module that spells a path."""

from pathlib import Path


def work_folder(key: str) -> Path:
    """Resume state, progress and log of a cell; outside everything that Snakemake or DVC removes."""
    return Path("work/cells") / key
