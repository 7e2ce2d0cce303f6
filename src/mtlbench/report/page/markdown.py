"""The comparison table as Markdown."""

from mtlbench.report.evidence.comparisons import AHEAD, BEST, LEVEL_WITH_BEST, SECOND
from mtlbench.report.page.escape import markdown_text
from mtlbench.report.page.tables import Table, headings
from mtlbench.report.rows.text import DASH


def markdown(table: Table) -> str:
    """A GitHub-flavoured table; best **bold**, second <u>underlined</u>, *italic* not alone, † not told from it."""
    styles = {BEST: "**{}**", SECOND: "<u>{}</u>", AHEAD: "*{}*", LEVEL_WITH_BEST: "{} †", "": "{}"}
    lines = ["| " + " | ".join(markdown_text(name) for name in headings(table)) + " |"]
    lines.append("|" + " :-- |" * 2 + " --: |" * (len(table.columns) + 3))
    for row in table.rows:
        cells = [styles[cell.mark].format(cell.text) for cell in row.cells]
        names = [markdown_text(row.model), markdown_text(row.weighting), str(row.seeds)]
        lines.append("| " + " | ".join([*names, *cells, row.rank.text, row.parameters.text]) + " |")
    constant = [cell.text for cell in table.constant]
    lines.append("| " + " | ".join(["*constant prediction*", "", "", *constant, DASH, DASH]) + " |")
    return "\n".join(lines) + "\n"
