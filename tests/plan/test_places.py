import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from mtlbench.plan import places

#: A quoted text that begins with a folder of the project, in Python or in a rule file.
SPELT = re.compile(r"""["'](?:(?:work|results|checkpoints)(?:/|["']\s*\))|data/(?:raw|prepared))""")


def spelt(text: str) -> list[str]:
    """The lines that spell a path of the project."""
    return [line.strip() for line in text.splitlines() if SPELT.search(line)]


@pytest.mark.parametrize("line", ['x = Path("work") / y', "'results/cells'", 'f"work/logs/{x}"', '"data/raw"'])
def test_a_spelt_path_is_seen(line: str) -> None:
    assert spelt(line)


def test_no_other_module_rule_or_test_spells_a_path(repository: Path) -> None:
    files = [repository / "Snakefile", *(repository / "workflow").rglob("*.smk")]
    files += [path for folder in ("src", "tests", "benchmarks") for path in (repository / folder).rglob("*.py")]
    assert len(files) > 150
    found = {
        path.relative_to(repository).as_posix(): lines
        for path in files
        if path not in (Path(places.__file__), Path(__file__)) and (lines := spelt(path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_dvc_records_these_places(repository: Path) -> None:
    """dvc.yaml is read by DVC, which cannot ask the module."""
    stages = YAML(typ="safe").load(repository / "dvc.yaml")["stages"]
    outs = {name: {Path(path) for out in stage["outs"] for path in out} for name, stage in stages.items()}
    assert outs == {
        "prepare": {places.PREPARED},
        "train": {places.CELLS, places.CHECKPOINTS, places.SELECTIONS},
        "report": {places.SUMMARIES, places.REPORTS, places.METRICS, places.CURVES},
    }


def test_the_store_may_lie_elsewhere(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv(places.STORE_VARIABLE, raising=False)
    assert places.store() == places.STORE
    monkeypatch.setenv(places.STORE_VARIABLE, str(tmp_path))
    assert places.cell_lease("k").is_relative_to(tmp_path)
