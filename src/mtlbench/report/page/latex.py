"""The comparison table as LaTeX: whole, in parts that can be read, and compact."""

from collections.abc import Sequence
from dataclasses import replace

from mtlbench.report.evidence.comparisons import AHEAD, BEST, LEVEL_WITH_BEST, SECOND
from mtlbench.report.page.escape import tex
from mtlbench.report.page.tables import Table, TableCell
from mtlbench.report.rows.text import DASH, heading, task_title

#: Columns of numbers that fit beside the names across a page in \\footnotesize; a task with more is a part by itself.
_COLUMNS = 4
_STYLES = {
    BEST: r"\textbf{{{}}}",
    SECOND: r"\underline{{{}}}",
    AHEAD: r"\textit{{{}}}",
    LEVEL_WITH_BEST: r"{}$^\dagger$",
    "": "{}",
}
MARKS = (
    "Mean and standard deviation over n seeds. Bold: the best mean, told from every other row by the corrected test; "
    "underlined: the second likewise; italic: the best mean, but not alone; †: not distinguishable from the best mean. "
    "Δm: gain over the single-task networks."
)


def latex(table: Table, caption: str, label: str) -> str:
    """All columns as one ``table*`` for each few tasks, in a size that can be read; needs the package booktabs."""
    parts = _parts(table)
    texts = []
    for number, places in enumerate(parts, 1):
        names = dict.fromkeys(task_title(table.columns[i].task) or "Δm" for i in places)
        about = f"{caption} Part {number} of {len(parts)}: {', '.join(names)}."
        part_label = label if number == 1 else f"{label}-{number}"
        texts.append(_float(_chosen(table, places), f"{about} {MARKS}", part_label, number == len(parts)))
    return "% needs \\usepackage{booktabs}\n" + "\n".join(texts)


def compact(table: Table, caption: str, label: str) -> str:
    """The primary metric of each task and the flat Delta_m as one ``table*``; needs the package booktabs."""
    places = [i for i, column in enumerate(table.columns) if column.metric.primary]
    return "% needs \\usepackage{booktabs}\n" + _float(_chosen(table, places), f"{caption} {MARKS}", label, True)


def _parts(table: Table) -> list[list[int]]:
    """Positions of the columns of each part: whole groups, at most ``_COLUMNS`` unless one group alone has more."""
    parts: list[list[int]] = []
    first = 0
    for _, width in table.groups:
        group = list(range(first, first + width))
        first += width
        if parts and len(parts[-1]) + width <= _COLUMNS:
            parts[-1] += group
        else:
            parts.append(group)
    return parts


def _chosen(table: Table, places: Sequence[int]) -> Table:
    """The table with the columns at these positions alone."""
    rows = tuple(replace(row, cells=tuple(row.cells[i] for i in places)) for row in table.rows)
    columns = tuple(table.columns[i] for i in places)
    return replace(table, columns=columns, rows=rows, constant=tuple(table.constant[i] for i in places))


def _float(table: Table, caption: str, label: str, last: bool) -> str:
    """One ``table*``; the last of several has S, mean rank and #P."""
    ends = [*["S ↑"] * table.scored, "Rank ↓", "#P ↓"] if last else []
    lines = [
        r"\begin{table*}[t]", r"\centering\footnotesize\setlength{\tabcolsep}{3.5pt}",
        rf"\caption{{{tex(caption)}}}", rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{llr{'r' * (len(table.columns) + len(ends))}}}", r"\toprule",
        _tex_groups(table, len(ends)),
    ]  # fmt: skip
    names = ["Model", "Weighting", "n", *(heading(column) for column in table.columns), *ends]
    lines += [" & ".join(tex(name) for name in names) + r" \\", r"\midrule"]
    previous = table.rows[0].single_task if table.rows else True
    for row in table.rows:
        if previous and not row.single_task:
            lines.append(r"\midrule")
        previous = row.single_task
        tail = [*[row.score.text] * table.scored, row.rank.text, row.parameters.text] if last else []
        cells = [tex(row.model), tex(row.weighting), str(row.seeds), *(_number(cell) for cell in row.cells)]
        lines.append(_tex_line([*cells, *tail]))
    constant = [tex(cell.text) for cell in table.constant]
    dashes = ["--"] * len(ends)
    lines += [r"\midrule", _tex_line([r"\textit{constant}", "", "", *constant, *dashes]), r"\bottomrule"]
    return "\n".join([*lines, r"\end{tabular}", r"\end{table*}", ""])


def _number(cell: TableCell) -> str:
    """The mean, marked, and the deviation in small type."""
    mean, _, deviation = cell.text.partition(" ± ")
    small = rf" {{\scriptsize$\pm$\,{deviation}}}" if deviation else ""
    return _STYLES[cell.mark].format(tex(mean)) + small


def _tex_line(cells: Sequence[str]) -> str:
    return " & ".join(cell.replace(DASH, "--") for cell in cells) + r" \\"


def _tex_groups(table: Table, ends: int) -> str:
    parts, rules, first = [r"\multicolumn{3}{l}{}"], [], 4
    for title, width in table.groups:
        parts.append(rf"\multicolumn{{{width}}}{{c}}{{{tex(title)}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    return " & ".join([*parts, *[""] * ends]) + r" \\ " + " ".join(rules)
