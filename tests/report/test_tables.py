"""The comparison table as data, Markdown, CSV and LaTeX."""

import math
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mtlbench.report.evidence.analysis import Analysis, analyse
from mtlbench.report.page.latex import compact, latex
from mtlbench.report.page.markdown import markdown
from mtlbench.report.page.tables import comparison_table, csv_records
from mtlbench.report.rows.grid import load_grid
from mtlbench.report.rows.inputs import ReportInput
from mtlbench.report.rows.text import count, number, seconds


def test_numbers_are_means_over_seeds_in_the_shown_scale(analysis: Analysis) -> None:
    table = comparison_table(analysis)
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            values = analysis.grid.reported[row.slug][column.name] * column.metric.scale
            mean, spread = cell.text.replace("−", "-").split(" ± ")
            digits = 0.5 * 10**-column.metric.decimals * 1.001
            assert float(mean) == pytest.approx(values.mean(), abs=digits)
            assert float(spread) == pytest.approx(abs(values[0] - values[1]) / math.sqrt(2), abs=digits)


def test_single_task_row_first_constant_last(analysis: Analysis) -> None:
    table = comparison_table(analysis)
    assert table.rows[0].single_task
    assert table.rows[0].parameters.text == "3.00"
    lines = markdown(table).strip().split("\n")
    assert "segnet\\_single" in lines[2]
    assert "constant prediction" in lines[-1]
    assert len({line.count(" | ") for line in lines[2:]}) == 1
    assert "6.00" in lines[-1]


def test_ranks_are_over_all_metrics(analysis: Analysis) -> None:
    ranks = [
        (-analysis.scores(column)).rank() for column in analysis.grid.columns
    ]  # scores are higher-is-better, so ranks of their negation count from the best
    assert analysis.mean_rank.to_numpy() == pytest.approx(np.mean(ranks, axis=0))


def test_a_row_without_results_is_dashes_with_a_reason(report: ReportInput) -> None:
    cells = tuple(
        replace(c, folder=None, missing="DivergedError: NaN in epoch 3")
        if c.path.startswith("test/segnet_split/dwa")
        else c
        for c in report.cells
    )
    row = comparison_table(analyse(load_grid(replace(report, cells=cells)))).rows[-1]
    assert {cell.text for cell in row.cells} == {"–"}
    assert all("seed 0: DivergedError: NaN in epoch 3" in cell.reason for cell in row.cells)


def test_without_a_baseline_there_is_no_delta_m(report: ReportInput) -> None:
    table = comparison_table(analyse(load_grid(replace(report, baseline=None))))
    assert [column.task for column in table.columns if not column.task] == []
    assert table.rows[0].parameters.text == "–"
    assert table.rows[0].parameters.reason == "no single-task baseline"


def test_csv_has_the_same_numbers(analysis: Analysis) -> None:
    table = comparison_table(analysis)
    records = csv_records(table)
    assert len(records) == len(table.rows) + 1
    assert list(records[1].values())[3] == table.rows[1].cells[0].text


def test_markdown_cannot_be_broken_by_names(report: ReportInput) -> None:
    cells = tuple(replace(c, model="a|b<i>") if c.model == "segnet_split" else c for c in report.cells)
    text = markdown(comparison_table(analyse(load_grid(replace(report, cells=cells)))))
    assert "a\\|b\\<i\\>" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex (apt: texlive-latex-base, -recommended)")
def test_latex_compiles_with_a_real_latex(analysis: Analysis, tmp_path: Path) -> None:
    caption = "Made-up rooms: 100 % & more_names, Δm ± std (<11.25°) – “quoted”."
    table = comparison_table(analysis)
    both = latex(table, caption, "tab:test") + compact(table, caption, "tab:compact")
    assert "resizebox" not in both  # every part is printed in a size that can be read
    assert both.count(r"\begin{table*}") == 4
    (tmp_path / "table.tex").write_text(both, encoding="utf-8")
    (tmp_path / "page.tex").write_text(
        r"\documentclass[twocolumn]{article}\usepackage{booktabs}\begin{document}\input{table}\end{document}",
        encoding="utf-8",
    )
    run = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "page.tex"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-2000:]
    assert "Overfull" not in run.stdout
    assert (tmp_path / "page.pdf").stat().st_size > 5000


@pytest.mark.parametrize(
    ("value", "decimals", "wanted"),
    [(1.005, 1, "1.0"), (-0.001, 2, "0.00"), (-1.5, 1, "−1.5"), (math.nan, 2, "–"), (math.inf, 2, "–")],
)
def test_numbers_as_text(value: float, decimals: int, wanted: str) -> None:
    assert number(value, decimals) == wanted


def test_large_and_small_quantities() -> None:
    assert count(44_200_000) == "44.2 M"
    assert count(3 * 2**30, "B") == "3.22 GB"
    assert count(None) == "–"
    assert [seconds(v) for v in (0.081, 70, 600, 9000, None)] == ["81 ms", "70 s", "10 min", "2.5 h", "–"]
