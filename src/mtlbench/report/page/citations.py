"""BibTeX of this project and of the papers of the models and weightings in a report, as their entries declare them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mtlbench import __version__
from mtlbench.report.evidence.analysis import Analysis

#: As in CITATION.cff, which a test compares.
TITLE, AUTHOR, YEAR = "mtlbench: a reproducible benchmark of multi-task learning", "The mtlbench developers", "2026"

_PAPER = re.compile(
    r"(?P<authors>[^,(]+(?:, [^,(]+)*?), (?:(?P<venue>[A-Z][\w .&-]*?) )?(?P<year>\d{4})"
    r"(?: \((?P<kind>arXiv|doi|openreview) (?P<number>\S+)\))?"
)
_JOURNALS = ("TPAMI", "TMLR", "JMLR")


@dataclass(frozen=True)
class Paper:
    """What an entry declares of its source: ``paper`` ("Author et al., venue year (arXiv number)") and its title."""

    paper: str
    title: str

    def bibtex(self) -> str:
        """One record; "" where ``paper`` names no paper (equal weights, say)."""
        found = _PAPER.fullmatch(self.paper)
        if found is None:
            return ""
        venue, kind = found["venue"] or "", "misc"
        fields = {"author": _authors(found["authors"]), "title": f"{{{self.title}}}" if self.title else ""}
        if venue:
            kind, place = ("article", "journal") if venue in _JOURNALS else ("inproceedings", "booktitle")
            fields[place] = venue
        fields |= {"year": found["year"], **_number(found["kind"], found["number"])}
        return _record(kind, _key(found["authors"], found["year"], self.title), fields)


def citations(analysis: Analysis) -> str:
    """The text of citations.bib."""
    return bibtex([Paper(paper, title) for paper, title in analysis.grid.input.papers])


def bibtex(papers: Sequence[Paper]) -> str:
    """The project, then every paper once, in the order given."""
    own = {"title": f"{{{TITLE}}}", "author": f"{{{AUTHOR}}}", "year": YEAR, "version": __version__}
    records = [_record("software", "mtlbench", own), *(paper.bibtex() for paper in papers)]
    return "\n\n".join(record for record in dict.fromkeys(records) if record) + "\n"


def _record(kind: str, key: str, fields: dict[str, str]) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def _authors(text: str) -> str:
    """ "A et al." or "A, B and C" as BibTeX writes them."""
    return text.replace(" et al.", " and others").replace(", ", " and ")


def _key(authors: str, year: str, title: str) -> str:
    """First author, year, first word of the title."""
    first, word = re.split(r",| et al| and ", authors)[0], re.split(r"\W+", title)[0]
    return re.sub(r"\W", "", f"{first}{year}{word}").lower()


def _number(kind: str | None, number: str | None) -> dict[str, str]:
    if not kind or not number:
        return {}
    if kind == "arXiv":
        return {"eprint": number, "archivePrefix": "arXiv"}
    return {"doi": number} if kind == "doi" else {"note": f"OpenReview {number}"}
