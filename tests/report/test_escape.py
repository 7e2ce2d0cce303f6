"""No text of a user acts as markup: read back by a Markdown parser and by a real LaTeX it is what it was."""

import html
import re
import shutil
import string
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mtlbench.report.page.escape import markdown_text, tex

_PARSER = MarkdownIt("commonmark").enable("table").enable("strikethrough")
_ANY = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40) | st.text(string.punctuation + " 1a\n")


def shown(text: str) -> str:
    """White space as a browser shows it."""
    return " ".join(text.split())


@settings(deadline=None, max_examples=150)
@given(_ANY)
@example("<script>alert(1)</script> & <b>more</b> &amp; <!-- x")
@example("1. one")
@example("- item")
@example("# title")
@example("a\\|b | c")
@example("[x](javascript:1) ![i](u) <http://a.b> `c` **d** ~~e~~")
@example("=== \n--- ")
def test_markdown_shows_the_text_itself(text: str) -> None:
    rendered = _PARSER.render(markdown_text(text))
    assert html.unescape(re.sub(r"^<p>|</p>$", "", rendered.strip())) == shown(text)
    assert "<" not in rendered.strip().removeprefix("<p>").removesuffix("</p>")


@settings(deadline=None, max_examples=100)
@given(_ANY.filter(str.strip))
@example("|")
@example("a\\|b")
def test_markdown_shows_the_text_itself_in_a_table(text: str) -> None:
    rendered = _PARSER.render(f"| a | b |\n|---|---|\n| {markdown_text(text)} | end |\n")
    cells = re.findall(r"<td>(.*?)</td>", rendered)
    assert [html.unescape(cell) for cell in cells] == [shown(text), "end"]


_SAFE = re.compile(
    r"(?:[A-Za-z0-9À-žß ~.,:;!?()/+='@-]|\\[&%$#_{}]|\\(?:text[a-z]+|ldots)\{\}|\\symbol\{34\}"
    r"|\$[^$]+\$|\{[\[\]*]?\}|``|`)*",
    re.ASCII,
)


@settings(deadline=None, max_examples=200)
@given(_ANY)
def test_latex_leaves_no_active_character(text: str) -> None:
    assert _SAFE.fullmatch(tex(text)), tex(text)


def test_special_characters_are_escaped_for_latex() -> None:
    assert tex("a_b & 50% of $x$ #1 {~^\\} <é> ± −1 ☃\n[--]") == (
        r"a\_b \& 50\% of \$x\$ \#1 \{\textasciitilde{}\textasciicircum{}\textbackslash{}\} $<$é$>$ $\pm$ $-$1 ? "
        r"{[}-{}-{]}"
    )


@pytest.mark.skipif(
    shutil.which("pdflatex") is None or shutil.which("pdftotext") is None,
    reason="no pdflatex or pdftotext (apt: texlive-latex-base, poppler-utils)",
)
@pytest.mark.parametrize("font", ["OT1", "T1"])
def test_a_real_latex_prints_the_text_itself(tmp_path: Path, font: str) -> None:
    letters = "".join(c for c in map(chr, range(0xC0, 0x17F)) if tex(c) == c)
    texts = [string.punctuation, "[x] *y -- <b> |", "a_b^c~d", letters[:50], letters[50:]]
    body = "\n\n".join(rf"\begin{{tabular}}{{l}} 1 \\ {tex(text)} \\ \end{{tabular}}" for text in texts)
    document = rf"\documentclass{{article}}\usepackage[{font}]{{fontenc}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "a.tex").write_text(document, encoding="utf-8")
    run = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "a.tex"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-1500:]
    printed = subprocess.run(["pdftotext", "a.pdf", "-"], cwd=tmp_path, capture_output=True, text=True, check=True)
    plain = "".join(printed.stdout.split()).translate(str.maketrans("’‘ˆ˜−”", "'`^~-\""))
    for text in texts[:3] if font == "T1" else []:  # OT1 draws "_" as a line; accents need not be readable text
        assert "".join(text.split()) in plain
