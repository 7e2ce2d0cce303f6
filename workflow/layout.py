"""Lay params.yaml out as DVC writes it, so that `dvc exp run -S KEY=VALUE` changes one line of it: `make layout`."""

import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

from dvc.utils.hydra import apply_overrides

PARAMS = Path("params.yaml")


def written(text: str, *changes: str) -> str:
    """The text of params.yaml after `dvc exp run -S CHANGE ...`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / PARAMS.name
        path.write_text(text)
        apply_overrides(path, list(changes))
        return path.read_text()


def laid_out(text: str) -> str:
    """The text in the layout that DVC leaves as it is; exits where DVC would drop a comment."""
    found = written(written(text))  # twice: comments behind a list go when the list is written again
    if lost := Counter(_comments(text)) - Counter(_comments(found)):
        advice = "it follows a list; write it on the line of a key"
        sys.exit(f"{PARAMS}: DVC drops the comment '{next(iter(lost))}': {advice}")
    return found


def _comments(text: str) -> list[str]:
    return re.findall(r"(?:^|\s)(# ?.*)$", text, re.M)


if __name__ == "__main__":
    PARAMS.write_text(laid_out(PARAMS.read_text()))
