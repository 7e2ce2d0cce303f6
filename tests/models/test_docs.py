"""docs/models.md and its diagrams against the models."""

import re
from pathlib import Path

import pytest

from mtlbench.diagrams.draw import DOMAINS, EXAMPLE, main
from mtlbench.models._cost import blueprint, forward_flops, parameter_count
from mtlbench.plan.registry import entries


@pytest.mark.slow
def test_the_table_of_costs_is_right(repository: Path) -> None:
    text = (repository / "docs" / "models.md").read_text(encoding="utf-8")
    line = r"^\| (\w+) \| ([\d,]+) \| ([\d.]+) \| ([\d.]+) \| (.*) \|$"
    rows = {row[0]: row[1:] for row in re.findall(line, text, re.M)}
    singles = {}
    for name in (
        "segnet_single",
        "resnet_single",
        "hrnet_single",
        "swin_single",
        "single_resnet",
        "single_vgg",
        "wrn_single",
    ):
        constants = entries("models")[name].constants
        example = DOMAINS if constants.get("predicts") == "classes" else EXAMPLE
        singles[constants["family"]] = sum(parameter_count(blueprint(name, {t: k}, {})) for t, k in example.items())
    assert set(rows) == {name for name, found in entries("models").items() if found.shipped}
    for name, (parameters, ratio, gflop, paper) in rows.items():
        constants = entries("models")[name].constants
        example, size = (DOMAINS, (72, 72)) if constants.get("predicts") == "classes" else (EXAMPLE, (288, 384))
        tasks = [{task: count} for task, count in example.items()] if constants.get("single_task") else [example]
        models = [blueprint(name, chosen, {}) for chosen in tasks]
        assert parameters == f"{parameter_count(models[0]):,}"
        assert ratio == f"{3 * sum(map(parameter_count, models)) / singles[constants['family']]:.2f}"
        assert gflop == f"{forward_flops(models[0], size) / 1e9:.1f}"
        assert paper == constants["paper"]


@pytest.mark.slow
def test_the_diagrams_are_current(repository: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["diagrams", str(tmp_path)])
    main()
    committed = {path.name: path.read_bytes() for path in (repository / "docs" / "models").glob("*.svg")}
    drawn = {path.name: path.read_bytes() for path in tmp_path.glob("*.svg")}
    assert drawn == committed, "python -m mtlbench.diagrams.draw docs/models"
