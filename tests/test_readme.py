"""What the README counts is what there is, and its program runs."""

import re
from pathlib import Path

import pytest
import torch

from mtlbench.plan.registry import entries
from mtlbench.weightings.cagrad import CAGrad

KINDS = {"networks": "models", "weightings": "weightings", "kinds of data sets": "datasets", "of tasks": "tasks"}


@pytest.mark.parametrize(("words", "kind"), KINDS.items())
def test_the_readme_counts_the_shipped_entries(repository: Path, words: str, kind: str) -> None:
    sentence = next(
        line for line in (repository / "README.md").read_text().splitlines() if line.startswith("- **In it**")
    )
    found = re.search(rf"(\d+) {words}", sentence)
    assert found is not None, sentence
    assert int(found[1]) == sum(entry.shipped for entry in entries(kind).values())


def test_the_loop_of_the_readme_trains(repository: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (repository / "README.md").read_text(), re.S)
    network = torch.nn.Linear(3, 2)
    before = network.weight.detach().clone()
    names = {
        "CAGrad": CAGrad,
        "loader": [(torch.rand(4, 3), torch.rand(4, 2))],
        "network": network,
        "losses": lambda found, targets: list((found - targets).square().mean(0)),
        "shared": list(network.parameters()),
        "optimizer": torch.optim.SGD(network.parameters(), lr=0.1),
    }
    exec(program, names)
    assert not torch.equal(network.weight, before)
