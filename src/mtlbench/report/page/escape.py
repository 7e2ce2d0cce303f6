"""Text of users (titles, names, notes) as it must be written in Markdown and in LaTeX to come out as it is."""

import re
import unicodedata

# What CommonMark or GitHub's tables give a meaning in the middle of a line; "&" begins entities, "$" formulas.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|~&$#])")
# What makes a line a list, a heading or a rule when it stands first.
_BLOCK = re.compile(r"^(\d{1,9})([.)])|^([-+=:])")

_TEX = {
    "\N{NO-BREAK SPACE}": "~",
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "`": r"\textasciigrave{}", '"': r"\symbol{34}",
    # after a line end of a table, [ and * would be its arguments
    "[": "{[}", "]": "{]}", "*": "{*}",
    "|": "$|$", "<": "$<$", ">": "$>$", "·": r"$\cdot$", "×": r"$\times$", "±": r"$\pm$", "°": r"$^\circ$",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "†": r"$^\dagger$", "≈": r"$\approx$", "≤": r"$\leq$", "≥": r"$\geq$",
    "Δ": r"$\Delta$", "τ": r"$\tau$", "−": "$-$", "–": "--", "—": "---", "…": r"\ldots{}",
    "“": "``", "”": "''", "‘": "`", "’": "'",
}  # fmt: skip

#: Grave, acute, circumflex, tilde, diaeresis, caron: the accents that combine with every letter.
_ACCENTS = "\u0300\u0301\u0302\u0303\u0308\u030c"


def markdown_text(text: str) -> str:
    """Text for a line of Markdown, inside or outside a table: no character of it acts as markup or as HTML."""
    text = " ".join(text.split())
    text = _MARKDOWN.sub(r"\\\1", text)
    return _BLOCK.sub(lambda found: f"{found[1]}\\{found[2]}" if found[1] else f"\\{found[3]}", text)


def tex(text: str) -> str:
    """Text for LaTeX: special characters escaped, symbols that pdfLaTeX lacks as mathematics, others as '?'."""
    text = " ".join(text.replace("\N{NO-BREAK SPACE}", "\0").split()).replace("\0", "\N{NO-BREAK SPACE}")
    escaped = "".join(_TEX.get(character, _plain(character)) for character in text.replace("--", "-\0-"))
    return escaped.replace("\0", "{}")


def _plain(character: str) -> str:
    """The character where pdfLaTeX has it in every font (ASCII and accented Latin letters), else '?'."""
    if character == "\0" or (character.isascii() and character.isprintable()) or character in "ßæøåÆØÅœŒłŁ":
        return character
    parts = unicodedata.normalize("NFD", character)
    return character if character < "\u017f" and len(parts) == 2 and parts[1] in _ACCENTS else "?"
