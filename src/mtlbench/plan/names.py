"""Names that experiments and labels may not have, each list in this place only."""

from collections.abc import Iterable

#: The cells of a single-task model carry this before the task's name, where others have a weighting's label.
ONLY = "only_"
#: The rules of Snakefile and workflow/rules; a test reads these files and compares.
RULES = frozenset({
    "all", "prepared", "cells", "summaries",
    "download", "prepare", "train", "promote", "select", "aggregate", "unknown",
})  # fmt: skip
#: Before an experiment's name: the rule that makes its report.
REPORT = "report_"


def taken(name: str, experiments: Iterable[str]) -> bool:
    """Whether the workflow has a rule of this name already, its own or the one for another experiment's report."""
    others = set(experiments) - {name}
    return name in RULES or (name.startswith(REPORT) and name.removeprefix(REPORT) in others)
