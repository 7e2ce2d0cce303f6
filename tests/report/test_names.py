"""Names for people on the page, names of params.yaml in files; the papers of what was used."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from mtlbench.plan.recipe import ChosenEntry
from mtlbench.plan.registry import entries
from mtlbench.report.evidence.analysis import Analysis, analyse
from mtlbench.report.page import citations
from mtlbench.report.page.citations import Paper, bibtex
from mtlbench.report.page.latex import latex
from mtlbench.report.page.tables import comparison_table, csv_records
from mtlbench.report.rows.collect import _title
from mtlbench.report.rows.files import write_summary
from mtlbench.report.rows.grid import load_grid
from mtlbench.report.rows.inputs import ReportInput


@pytest.fixture(scope="module")
def named(report: ReportInput) -> ReportInput:
    """The made-up grid with names for people."""
    titles = {"segnet_single": "SegNet", "segnet_mtan": "MTAN (SegNet)", "equal": "Equal", "dwa": "DWA"}
    cells = tuple(
        replace(cell, model_title=titles.get(cell.model, ""), weighting_title=titles.get(cell.weighting, ""))
        for cell in report.cells
    )
    return replace(report, cells=cells)


def test_people_read_names_and_files_keep_labels(named: ReportInput, tmp_path: Path) -> None:
    analysis = analyse(load_grid(named))
    assert [row.label for row in analysis.grid.rows] == [
        "SegNet · single-task", "MTAN (SegNet) · Equal", "MTAN (SegNet) · DWA", "segnet_split · Equal",
        "segnet_split · DWA",
    ]  # fmt: skip
    table = comparison_table(analysis)
    assert (table.rows[1].model, table.rows[1].weighting) == ("MTAN (SegNet)", "Equal")
    assert "MTAN (SegNet) & Equal" in latex(table, "", "tab:x")
    first = csv_records(table)[1]
    assert (first["Model"], first["Weighting"]) == ("segnet_mtan", "equal")
    paths = write_summary(named, tmp_path)
    curves = pd.read_csv(paths["curves.csv"])
    assert set(curves["row"]) == {f"{m} · {w}" for m, w in zip(curves["model"], curves["weighting"], strict=True)}
    assert "MTAN" not in paths["summary.csv"].read_text()


def test_a_label_of_the_user_stays_as_it_is() -> None:
    plain, routed = (
        ChosenEntry(kind="ldc_mtl", version=1, options=options) for options in ({"penalty": 0.1}, {"router": True})
    )
    assert _title("weightings", "ldc_mtl", plain) == "LDC-MTL (no router)"
    assert _title("weightings", "ldc_mtl", routed) == "LDC-MTL"
    assert _title("weightings", "ldc_long", routed) == "ldc_long"


@pytest.mark.parametrize("kind", ["models", "weightings"])
def test_no_two_entries_have_one_name(kind: str) -> None:
    names = [entry.display for entry in entries(kind).values()]
    assert len(set(names)) == len(names)


def test_an_entry_without_a_name_shows_its_class() -> None:
    found = entries("weightings")["nash_mtl"]
    assert found.display == "Nash-MTL"
    assert replace(found, constants={}).display == "NashMTL"


def test_a_paper_becomes_a_record() -> None:
    text = bibtex([Paper("Navon et al., ICML 2022 (arXiv 2202.01017)", "Multi-Task Learning as a Bargaining Game")] * 2)
    own, paper = text.strip().split("\n\n")
    assert own.startswith("@software{mtlbench,")
    assert paper.splitlines() == [
        "@inproceedings{navon2022multi,", "  author = {Navon and others},",
        "  title = {{Multi-Task Learning as a Bargaining Game}},", "  booktitle = {ICML},", "  year = {2022},",
        "  eprint = {2202.01017},", "  archivePrefix = {arXiv},", "}",
    ]  # fmt: skip
    assert Paper("the sum of the losses (Caruana, Machine Learning 28, 1997)", "").bibtex() == ""
    other = Paper("Quinton and Rey, 2024 (arXiv 2406.16232)", "Jacobian Descent for Multi-Objective Optimization")
    assert other.bibtex().startswith("@misc{quinton2024jacobian,\n  author = {Quinton and Rey},")
    assert Paper("Zhou et al., NeurIPS 2022", "On").bibtex().endswith("booktitle = {NeurIPS},\n  year = {2022},\n}")
    assert "doi = {10.1145/3219819.3220007}" in Paper("Ma et al., KDD 2018 (doi 10.1145/3219819.3220007)", "X").bibtex()


@pytest.mark.parametrize("kind", ["models", "weightings"])
def test_every_paper_that_an_entry_titles_becomes_a_record_of_its_own(kind: str) -> None:
    declared = [one.constants for one in entries(kind).values() if one.constants.get("paper_title")]
    assert len(declared) > 12
    papers = {Paper(str(one["paper"]), str(one["paper_title"])) for one in declared}
    records = [paper.bibtex() for paper in papers]
    assert all(records), [paper for paper in papers if not paper.bibtex()]
    keys = [re.match(r"@\w+\{(\w+),", record)[1] for record in records]
    assert len(set(keys)) == len(keys)


def test_the_projects_own_record_is_that_of_citation_cff(repository: Path) -> None:
    text = (repository / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r'^title: "(.+)"$', text, re.M)[1] == citations.TITLE
    assert re.search(r'^  - name: "(.+)"$', text, re.M)[1] == citations.AUTHOR
    assert re.search(r'^date-released: "(\d{4})', text, re.M)[1] == citations.YEAR


def test_the_page_cites_what_the_cells_used(analysis: Analysis) -> None:
    papers = (("Liu et al., CVPR 2019 (arXiv 1803.10704)", "End-to-End Multi-Task Learning with Attention"),)
    grid = replace(analysis.grid, input=replace(analysis.grid.input, papers=papers))
    assert citations.citations(Analysis(grid, analysis.evidence)).count("@inproceedings{liu2019end,") == 1
