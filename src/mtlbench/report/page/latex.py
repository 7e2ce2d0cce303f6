"""The comparison table as LaTeX."""

from collections.abc import Sequence

from mtlbench.report.evidence.comparisons import AHEAD, BEST, LEVEL_WITH_BEST, SECOND
from mtlbench.report.page.escape import tex
from mtlbench.report.page.tables import Table
from mtlbench.report.rows.text import DASH, heading


def latex(table: Table, caption: str, label: str) -> str:
    """A ``table*`` with booktabs rules and two heading lines; needs the packages booktabs and graphicx."""
    styles = {
        BEST: r"\textbf{{{}}}",
        SECOND: r"\underline{{{}}}",
        AHEAD: r"\textit{{{}}}",
        LEVEL_WITH_BEST: r"{}$^\dagger$",
        "": "{}",
    }
    lines = [
        "% needs \\usepackage{booktabs,graphicx}",
        r"\begin{table*}[t]", r"\centering", rf"\caption{{{tex(caption)}}}", rf"\label{{{label}}}",
        r"\resizebox{\textwidth}{!}{%", rf"\begin{{tabular}}{{llr{'r' * (len(table.columns) + 2)}}}", r"\toprule",
        _tex_groups(table),
    ]  # fmt: skip
    names = ["Model", "Weighting", "n", *(heading(column) for column in table.columns), "Rank ↓", "#P ↓"]
    lines += [" & ".join(tex(name) for name in names) + r" \\", r"\midrule"]
    previous = table.rows[0].single_task if table.rows else True
    for row in table.rows:
        if previous and not row.single_task:
            lines.append(r"\midrule")
        previous = row.single_task
        cells = [styles[cell.mark].format(tex(cell.text)) for cell in row.cells]
        lines.append(_tex_line([tex(row.model), tex(row.weighting), str(row.seeds), *cells, row.rank.text,
                                row.parameters.text]))  # fmt: skip
    constant = [tex(cell.text) for cell in table.constant]
    lines += [r"\midrule", _tex_line([r"\textit{constant prediction}", "", "", *constant, "--", "--"]), r"\bottomrule"]
    return "\n".join([*lines, r"\end{tabular}}", r"\end{table*}", ""])


def _tex_line(cells: Sequence[str]) -> str:
    return " & ".join(cell.replace(DASH, "--") for cell in cells) + r" \\"


def _tex_groups(table: Table) -> str:
    parts, rules, first = [r"\multicolumn{3}{l}{}"], [], 4
    for title, width in table.groups:
        parts.append(rf"\multicolumn{{{width}}}{{c}}{{{tex(title)}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    return " & ".join([*parts, "", ""]) + r" \\ " + " ".join(rules)
