"""The page's text can be read on each of its backgrounds: what axe-core leaves open where elements overlap."""

import importlib.resources
import re

import pytest

CSS = importlib.resources.files("mtlbench.report.page").joinpath("report.css").read_text(encoding="utf-8")
VARIABLES = dict(re.findall(r"(--[\w-]+): (#[0-9a-f]+);", CSS))


def _luminance(colour: str) -> float:
    """Relative luminance by WCAG 2.2."""
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours by WCAG 2.2, from 1 to 21."""
    dark, light = sorted((_luminance(first), _luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def _colours(name: str) -> set[str]:
    """All opaque colours that the style sheet gives a property."""
    found = re.findall(rf"(?<![\w-]){name}: (?:var\((--[\w-]+)\)|(#[0-9a-f]{{3}}(?:[0-9a-f]{{3}})?)\b)", CSS)
    return {VARIABLES.get(variable, colour) for variable, colour in found}


def test_the_ratio_is_that_of_wcag() -> None:
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_every_text_has_contrast_on_every_background() -> None:
    texts, backgrounds = _colours("color"), _colours("background")
    assert len(texts) >= 4
    assert len(backgrounds) >= 4
    low = {(a, b): round(contrast(a, b), 2) for a in texts for b in backgrounds if contrast(a, b) < 4.5}
    assert low == {}
