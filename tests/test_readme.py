"""What the README counts is what there is."""

import re
from pathlib import Path

import pytest

from mtlbench.plan.registry import entries

KINDS = {"networks": "models", "weightings": "weightings", "kinds of data sets": "datasets", "of tasks": "tasks"}


@pytest.mark.parametrize(("words", "kind"), KINDS.items())
def test_the_readme_counts_the_shipped_entries(repository: Path, words: str, kind: str) -> None:
    sentence = next(
        line for line in (repository / "README.md").read_text().splitlines() if line.startswith("- **In it**")
    )
    found = re.search(rf"(\d+) {words}", sentence)
    assert found is not None, sentence
    assert int(found[1]) == sum(entry.shipped for entry in entries(kind).values())
