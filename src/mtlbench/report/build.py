"""The whole report of an experiment: a pure function of the files of its cells."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from mtlbench.report.evidence import stability
from mtlbench.report.evidence.analysis import Analysis, analyse
from mtlbench.report.evidence.pairs import PairTests
from mtlbench.report.figures.all import draw_all
from mtlbench.report.page import numbers
from mtlbench.report.page.citations import citations
from mtlbench.report.page.escape import markdown_text
from mtlbench.report.page.latex import compact, latex
from mtlbench.report.page.markdown import markdown
from mtlbench.report.page.page import Page, render
from mtlbench.report.page.tables import Table, comparison_table, csv_records
from mtlbench.report.rows.costs import cost_table
from mtlbench.report.rows.files import write_csv, write_tidy
from mtlbench.report.rows.grid import Grid, load_grid
from mtlbench.report.rows.images import unequal_images
from mtlbench.report.rows.inputs import CellInput, ReportInput
from mtlbench.report.rows.text import DASH, protocol_text
from mtlbench.system.files import write_json, write_text

#: For the tables that `snakemake --report` shows in a frame of their own.
_STYLE = """<!doctype html><meta charset="utf-8"><style>
body {font: 14px sans-serif} table {border-collapse: collapse}
th, td {padding: 4px 10px; text-align: left; border-bottom: 1px solid #ccc}
</style>
"""

__all__ = ["CellInput", "ReportInput", "build_report"]


def build_report(report: ReportInput, out: Path, workers: int = 1) -> None:
    """Write the report into ``out``: index.html, tables, summary.csv, figures and their captions (captions.json).

    The same files give the same bytes, however many processes (``workers``) draw the figures.

    ``out`` must hold no earlier report (see ``runs/replace.py``).
    """
    out = Path(out)
    (out / "figures").mkdir(parents=True)
    grid = load_grid(report)
    analysis = analyse(grid)
    table = comparison_table(analysis)
    write_tidy(grid, out)
    caption = _table_caption(grid)
    _write_tables(analysis, table, caption, out)
    sections = draw_all(analysis, out, workers)
    write_json(out / "captions.json", {"table": caption, **{one.name: one.caption for one in sections.pictures}})
    write_text(out / "index.html", render(Page(analysis, table, sections)))


def _table_caption(grid: Grid) -> str:
    report = grid.input
    parts = [report.title, report.note, f"Protocol {protocol_text(report.protocol)}", unequal_images(grid)]
    return " ".join(f"{part.removesuffix('.')}." for part in parts if part)


def _write_tables(analysis: Analysis, table: Table, caption: str, out: Path) -> None:
    report = analysis.grid.input
    write_text(out / "citations.bib", citations(analysis))
    write_text(out / "table.md", f"{markdown(table)}\n{markdown_text(caption)}\n")
    write_text(out / "table.tex", latex(table, caption, f"tab:{report.name}"))
    write_text(out / "table_compact.tex", compact(table, caption, f"tab:{report.name}-compact"))
    for name, frame in (("table", pd.DataFrame(csv_records(table))), ("cost", cost_table(analysis.grid))):
        write_csv(out / f"{name}.csv", frame)
        write_text(out / f"{name}.html", _STYLE + frame.to_html(index=False, border=0, na_rep=DASH) + "\n")
    metrics, deltas = stability.by_convention(analysis)
    if not metrics.empty:
        metrics.columns = [f"{convention}: {name}" for convention, name in metrics.columns]
        both = metrics.join(deltas.add_suffix(": delta_m"))
        write_csv(out / "conventions.csv", both.rename_axis("row").reset_index(), digits=8)
    write_csv(out / "results.csv", numbers.results(analysis), digits=17)
    write_csv(out / "classes.csv", numbers.classes(analysis), digits=17)
    write_csv(out / "pairs.csv", pair_table(analysis), 6)
    write_csv(out / "unusable.csv", pd.DataFrame(analysis.grid.unusable, columns=["cell", "file", "why"]))


def pair_table(analysis: Analysis, most: int = 60) -> pd.DataFrame:
    """All tested pairs of the ``most`` best rows in Delta_m and the primary metrics.

    p-values have the two digits that they support; the probability is 1 - p/2 or p/2.
    """
    chosen = [row.slug for row in analysis.ranking[:most]]
    records = []
    for column in analysis.columns:
        tests = analysis.pairs[column.name]
        known = [tests.slugs.index(slug) for slug in chosen if slug in tests.slugs]
        if column.metric.primary or not column.task:
            matrices = (tests.difference, np.sqrt(tests.error.variance), tests.error.freedom)
            for a, b in combinations(known, 2):
                p_values = [tests.p_value[a, b], tests.adjusted[a, b], _against_baseline(analysis, tests, a, b)]
                p_value, *adjusted = (supported(float(value)) for value in p_values)
                above = 1 - p_value / 2 if tests.difference[a, b] > 0 else p_value / 2
                records.append((column.name, tests.slugs[a], tests.slugs[b], *(matrix[a, b] for matrix in matrices),
                                above, p_value, *adjusted))  # fmt: skip
    names = ["difference", "standard_error", "degrees_of_freedom", "probability_above", "p", "p_holm"]
    return pd.DataFrame(records, columns=["column", "first", "second", *names, "p_holm_baseline"])


def supported(p_value: float) -> float:
    """A p-value to two digits: 1000 draws of images know a variance to 4.5 %, and that moves the second digit."""
    return float(f"{p_value:.2g}")


def _against_baseline(analysis: Analysis, tests: PairTests, first: int, second: int) -> float:
    """The p-value corrected for comparisons with the baseline alone; NaN for a pair without it."""
    baseline = analysis.grid.baseline.slug if analysis.grid.baseline is not None else ""
    for one, other in ((first, second), (second, first)):
        if tests.slugs[one] == baseline:
            return float(tests.against_baseline[other])
    return float("nan")
