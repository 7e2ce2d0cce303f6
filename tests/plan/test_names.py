import re
from pathlib import Path

import pytest

from mtlbench.plan import names
from mtlbench.plan.params import load
from mtlbench.system.errors import ParamsError


def rules(*files: Path) -> set[str]:
    """Names of the rules that these files write out."""
    return {name for file in files for name in re.findall(r"^(?:rule|checkpoint)\s+(\w+)\s*:", file.read_text(), re.M)}


def test_every_rule_is_reserved(repository: Path) -> None:
    assert rules(repository / "Snakefile", *(repository / "workflow/rules").glob("*.smk")) == names.RULES


@pytest.mark.parametrize("name", sorted(names.RULES))
def test_no_experiment_is_called_like_a_rule(project, edit, name: str) -> None:
    edit("run: [tiny]", f"run: [{name}]")
    edit("  tiny:\n", f"  {name}:\n")
    with pytest.raises(ParamsError, match=rf"experiments\.{name}: the name is taken by a rule"):
        load()


def test_no_experiment_is_called_like_the_rule_of_anothers_report(project) -> None:
    path = project / "params.yaml"
    text = path.read_text()
    path.write_text(text + "  report_tiny:\n" + text.split("  tiny:\n")[1])
    with pytest.raises(ParamsError, match=r"experiments\.report_tiny: the name is taken"):
        load()


def test_a_weighting_is_not_called_like_a_single_task_run(project, edit) -> None:
    edit("equal: {}", "only_depth: {kind: equal}")
    with pytest.raises(ParamsError, match=r"weightings\.only_depth: labels with 'only_' first"):
        load()
