"""The comparison table as Markdown."""

from mtlbench.report.evidence.comparisons import AHEAD, BEST, LEVEL_WITH_BEST, SECOND
from mtlbench.report.page.escape import markdown_text
from mtlbench.report.page.tables import Table, headings
from mtlbench.report.rows.text import DASH


def markdown(table: Table) -> str:
    """A GitHub-flavoured table; best **bold**, second <u>underlined</u>, *italic* not alone, † not told from it."""
    styles = {BEST: "**{}**", SECOND: "<u>{}</u>", AHEAD: "*{}*", LEVEL_WITH_BEST: "{} †", "": "{}"}
    lines = ["| " + " | ".join(markdown_text(name) for name in headings(table)) + " |"]
    lines.append("|" + " :-- |" * 2 + " --: |" * (len(headings(table)) - 2))
    for row in table.rows:
        cells = [styles[cell.mark].format(cell.text) for cell in row.cells]
        names = [markdown_text(row.model), markdown_text(row.weighting), str(row.seeds)]
        ends = [*[row.score.text] * table.scored, row.rank.text, row.parameters.text]
        lines.append("| " + " | ".join([*names, *cells, *ends]) + " |")
    constant = [cell.text for cell in table.constant]
    lines.append("| " + " | ".join(["*constant prediction*", "", "", *constant, *[DASH] * (2 + table.scored)]) + " |")
    return "\n".join(lines) + "\n"
