"""The weightings and networks in a program of one's own, without what only the workflow and the report need."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mtlbench.plan.registry import entries

#: What `pip install .` does not bring.
EXTRAS = ("snakemake", "dvc", "pandas", "matplotlib", "seaborn", "h5py", "jinja2", "requests", "filelock", "tqdm")


def test_the_documented_program_runs_without_the_extras(repository: Path) -> None:
    text = (repository / "docs" / "library.md").read_text(encoding="utf-8")
    program = next(code for code in re.findall(r"```python\n(.*?)```", text, re.S) if code.startswith("import torch"))
    blocked = f"import sys\nfor name in {EXTRAS}:\n    sys.modules[name] = None\n"
    run = subprocess.run([sys.executable, "-c", blocked + program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2"]
    losses = [[float(x) for x in re.search(r"\[(.*?)\]", line)[1].split(",")] for line in lines]
    assert losses[-1][0] < losses[0][0], "three steps on one batch make its loss smaller"


@pytest.mark.parametrize("constant", ["wants_losses_after_step", "wants_held_out"])
def test_the_documentation_names_the_weightings_that_need_more_from_a_loop(repository: Path, constant: str) -> None:
    text = (repository / "docs/library.md").read_text(encoding="utf-8")
    (named,) = re.findall(rf"`{constant}` \(([^)]+)\)", text)
    assert set(named.split(", ")) == {
        one.display for one in entries("weightings").values() if one.constants.get(constant)
    }
