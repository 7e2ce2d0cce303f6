"""The whole report: complete, the same bytes again, nothing from elsewhere, whole with little or nothing to show."""

import html.parser
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mtlbench.report.build import build_report
from mtlbench.report.rows.inputs import ReportInput


class Links(html.parser.HTMLParser):
    """All identifiers and all addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id" and value:
                self.ids.add(value)
            if name in ("href", "src") and value:
                self.addresses.append(value)


def test_everything_is_there(built: Path) -> None:
    names = {path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file()}
    assert {
        "index.html", "table.md", "table.tex", "table.csv", "summary.csv", "curves.csv", "metrics.json", "pairs.csv",
        "cost.csv", "conventions.csv", "captions.json", "table.html", "cost.html",
        "figures/curves_overview.svg", "figures/curves_segnet_mtan.svg",
        "figures/metrics_segnet_mtan.png", "figures/intervals.svg", "figures/critical_difference.svg",
        "figures/pairs.svg", "figures/weights_segnet_mtan.svg", "figures/panel_segnet_single.single.png",
        "figures/compare_depth.png", "figures/class_iou.svg", "figures/confusion.svg", "figures/cost_quality.svg",
        "figures/replacement.svg", "figures/agreement.svg", "figures/legend.svg",
        "figures/gains.svg", "figures/profiles.svg",
    } <= names  # fmt: skip
    assert any(name.startswith("figures/attention_segnet_mtan") for name in names)
    assert not [name for name in names if name.endswith(".tmp")]


def test_every_figure_has_a_caption(built: Path) -> None:
    captions = json.loads((built / "captions.json").read_text())
    assert {path.stem for path in (built / "figures").iterdir()} == captions.keys() - {"table"}
    assert all(len(text) > 20 for text in captions.values())


def test_the_documentation_lists_every_file(built: Path, repository: Path) -> None:
    text = (repository / "docs" / "report.md").read_text(encoding="utf-8").split("\n## ")[0]
    listed = set(re.findall(r"`([\w./]+)`", "".join(re.findall(r"^\| (`.+?) \|", text, re.M))))
    found = {path.name + "/" * path.is_dir() for path in built.iterdir()}
    assert listed == found


def test_the_documentation_lists_every_figure(built: Path, repository: Path) -> None:
    text = (repository / "docs" / "report.md").read_text(encoding="utf-8").split("## The figures")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", text, re.M)
    patterns = {name: re.compile(re.sub("MODEL|TASK|ROW", ".+", name) + r"(_\d+)?") for name in listed}
    names = json.loads((built / "captions.json").read_text()).keys() - {"table"}
    assert [name for name in names if not any(one.fullmatch(name) for one in patterns.values())] == []
    # of weightings that record gradients, and of experiments with a search
    searched = {"search_best", "search_rates", "search_front_MODEL", "search_cost", "equal_loss"}
    rare = {"norms_MODEL", "cosines_MODEL", *searched}
    assert [n for n, one in patterns.items() if n not in rare and not any(map(one.fullmatch, names))] == []


def test_every_link_leads_somewhere(built: Path) -> None:
    page = Links((built / "index.html").read_text(encoding="utf-8"))
    for address in page.addresses:
        if address.startswith("#"):
            assert address[1:] in page.ids, address
        elif not address.startswith(("data:", "../../cells/")):
            assert (built / address).is_file(), address
    cells = [address for address in page.addresses if address.startswith("../../cells/")]
    assert len(cells) == 9  # of ten cells one has no result
    assert all(re.fullmatch(r"\.\./\.\./cells/test/[a-z_/0-9]+/manifest\.[0-9a-f]{16}\.json", cell) for cell in cells)


def test_nothing_comes_from_elsewhere(built: Path) -> None:
    for path in built.rglob("*"):
        if path.suffix in (".html", ".svg", ".md", ".json"):
            text = path.read_text(encoding="utf-8")
            names = (
                "http://www.w3.org/",
                "http://purl.org/",
                "http://creativecommons.org/",
            )  # names of XML, not fetched
            assert [a for a in re.findall(r"https?://[^\s\"'<>)]*", text) if not a.startswith(names)] == [], path


def test_user_text_is_escaped(built: Path) -> None:
    text = (built / "index.html").read_text(encoding="utf-8")
    assert "<b>& more" not in text
    assert "Rooms &lt;b&gt;&amp; more&lt;/b&gt;" in text
    assert "NaN in &lt;depth&gt; &amp; co" in text


def test_figures_carry_no_date(built: Path) -> None:
    for path in (built / "figures").glob("*.svg"):
        assert "<dc:date>" not in path.read_text(encoding="utf-8")
    for path in (built / "figures").glob("*.png"):
        assert b"tIME" not in path.read_bytes()


@pytest.mark.slow
def test_the_same_files_give_the_same_bytes(make: Callable[..., ReportInput], tmp_path: Path) -> None:
    report = make(models=("segnet_mtan",), weightings=("equal", "pcgrad"), images=5)
    outs = [tmp_path / "a" / "b", tmp_path / "c"]
    for workers, out in enumerate(outs, 1):
        build_report(report, out, workers)
    first, second = ({p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()} for out in outs)
    assert sorted(first) == sorted(second)
    assert [name for name in first if first[name] != second[name]] == []


def test_a_grid_without_any_result_is_a_page_of_dashes(report: ReportInput, tmp_path: Path) -> None:
    cells = tuple(replace(cell, folder=None, missing="not trained yet") for cell in report.cells)
    build_report(replace(report, cells=cells, constant={}), tmp_path)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "No multi-task row has numbers yet." in text
    assert text.count("not trained yet") >= len(cells)
    assert json.loads((tmp_path / "metrics.json").read_text()) == {}


@pytest.mark.slow
def test_one_seed_says_what_cannot_be_said(make: Callable[..., ReportInput], tmp_path: Path) -> None:
    build_report(make(models=("segnet_mtan",), weightings=("equal",), seeds=(0,), images=4), tmp_path)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Every row has one seed" in text
    assert "cannot be tested with these cells" in text
    table = text.split("<tbody>")[1].split("</tbody>")[0]
    assert "±" not in table
    assert "num best" not in table


@pytest.mark.slow
def test_one_task_and_no_baseline(make: Callable[..., ReportInput], tmp_path: Path) -> None:
    report = make(models=("segnet_mtan",), seeds=(0, 1), images=4, descriptions={"inverse_depth": {"unit": "1/m"}},
                  data=None)  # fmt: skip
    build_report(replace(report, baseline=None, constant={}), tmp_path)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Δm flat" not in text.split("<tbody>")[1].split("</tbody>")[0]
    assert not (tmp_path / "figures" / "class_iou.svg").exists()
