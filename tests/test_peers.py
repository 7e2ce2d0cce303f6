"""docs/peers.md: complete by the peers' lists, and what it says is here is here."""

import csv
import importlib.resources
import re

import pytest
import torchjd.aggregation
import torchjd.scalarization

from mtlbench.plan.registry import entries

#: LibMTL and the survey's code are not installed; their lists as they were read on 2026-11-24.
LIBMTL = {
    "Weightings": "EW GradNorm UW MGDA DWA GLS PCGrad GradDrop IMTL GradVac CAGrad MOML Nash-MTL RLW AutoLambda MoCo "
    "Aligned FAMO SDMGrad MoDo FORUM STCH ExcessMTL FairGrad DB-MTL UPGrad",
    "Architectures": "HPS Cross_stitch MMoE MTAN CGC PLE LTB DSelect_k",
}
SURVEY = {
    "Weightings": ["fixed weights"],
    "Architectures": ["single task", "multi-task baseline", "cross-stitch", "MTAN", "NDDR-CNN", "PAD-Net", "MTI-Net"],
}
KINDS = {"Weightings": "weightings", "Architectures": "models"}
both = pytest.mark.parametrize("section", list(KINDS))


@pytest.fixture
def rows(repository, section: str) -> list[dict[str, str]]:
    text = (repository / "docs" / "peers.md").read_text(encoding="utf-8").split(f"## {section}")[1].split("\n## ")[0]
    head, _, *lines = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    )
    return [dict(zip(head, line, strict=True)) for line in lines]


def named(rows: list[dict[str, str]], column: str) -> list[str]:
    return [name.strip() for row in rows for name in row[column].split(",") if name.strip()]


@both
def test_every_method_of_the_lists_has_one_row(rows, section: str) -> None:
    assert sorted(named(rows, "LibMTL")) == sorted(LIBMTL[section].split())
    assert sorted(named(rows, "survey")) == sorted(SURVEY[section])
    if section == "Weightings":
        assert sorted(named(rows, "TorchJD")) == sorted(torchjd_methods())


def torchjd_methods() -> set[str]:
    """Its public classes but the base classes; of a method's two forms the one without the ending."""
    bases = {"Aggregator", "GramianWeightedAggregator", "Weighting", "WeightedAggregator", "Scalarizer"}
    names = {*torchjd.aggregation.__all__, *torchjd.scalarization.__all__} - bases
    return {
        name for name in names if name.removesuffix("Weighting") == name or name.removesuffix("Weighting") not in names
    }


@both
def test_what_is_said_to_be_here_is_here_and_the_rest_has_a_reason(rows, section: str) -> None:
    known = entries(KINDS[section])
    for row in rows:
        here = re.findall(r"`(\w+)`", row["here"])
        assert all(name in known for name in here), row
        assert bool(here) == (row["here"] != "-"), row
        assert here or len(row["what differs, or why not"]) > 10, row


@both
def test_nothing_that_is_here_is_said_to_be_missing(rows, section: str) -> None:
    for row in (row for row in rows if row["here"] == "-"):
        name = re.sub(r"\W+", "_", row["method"].lower())
        assert not [one for one in entries(KINDS[section]) if one == name or one.endswith(f"_{name}")], row


def test_the_published_table_is_the_shipped_one_and_names_its_sources(repository) -> None:
    text = importlib.resources.files("mtlbench.report.evidence").joinpath("published_nyud.csv").read_text("utf-8")
    shipped = list(csv.DictReader(text.splitlines()))
    lines = (repository / "docs" / "peers.md").read_text(encoding="utf-8").split("## Published")[1].splitlines()
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]
    columns = ("network", "backbone", "miou", "rmse", "angle_mean", "odsf", "source")
    assert shown == [[row[column] for column in columns] for row in shipped]
    assert {"ATRC", "InvPT", "TaskPrompter", "DeMT"} <= {row["network"] for row in shipped}
    for row in shipped:
        assert len(row["source"]) > 10
        assert 30 < float(row["miou"]) < 60
        assert 0.4 < float(row["rmse"]) < 0.7
        assert 70 < float(row["odsf"]) < 80
