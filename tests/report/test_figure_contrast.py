"""Every word in a figure or diagram can be read on what is behind it, also by who sees red and green alike.

axe-core leaves text in pictures open ("incomplete"), so it is computed here: figures are drawn twice, with their words
and without, and every word's colour is compared with the pixels that it stands on.
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text

from mtlbench.diagrams.draw import draw_svg
from mtlbench.report.build import build_report
from mtlbench.report.rows.inputs import ReportInput
from mtlbench.system.colours import COLOURS

# Linear RGB as it looks without one kind of cone: Machado, Oliveira, Fernandes, IEEE TVCG 2009, severity 1.0.
SIGHT = {
    "normal": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
#: What WCAG 2.2 asks: of text (1.4.3) and of graphics (1.4.11).
TEXT, GRAPHICS = 4.5, 3.0
SVG = "{http://www.w3.org/2000/svg}"


def luminance(colours: Any, sight: str) -> np.ndarray:
    """Relative luminance (...,) of sRGB colours (..., 3) from 0 to 1."""
    value = np.asarray(colours, float)
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.clip(linear @ SIGHT[sight].T, 0, 1) @ [0.2126, 0.7152, 0.0722]


def contrast(first: Any, second: Any, sight: str = "normal") -> np.ndarray:
    """The contrast ratio of colours (..., 3) as they look with that sight."""
    one, other = luminance(first, sight), luminance(second, sight)
    return (np.maximum(one, other) + 0.05) / (np.minimum(one, other) + 0.05)


def low_contrast(figure: Figure) -> Iterator[tuple[str, str, float]]:
    """(word, sight, contrast) of the words whose contrast is below ``TEXT`` on more than a tenth of their area."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    words = [one for one in figure.findobj(Text) if one.get_visible() and one.get_text().strip()]
    places = [(one, one.get_window_extent()) for one in words]
    for one in words:
        one.set_visible(False)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3] / 255
    for one in words:
        one.set_visible(True)
    for one, box in places:
        rows = slice(max(0, round(len(pixels) - box.y1)), max(0, round(len(pixels) - box.y0)))
        behind = pixels[rows, max(0, round(box.x0)) : max(0, round(box.x1))].reshape(-1, 3)
        if not len(behind):
            continue  # outside of the figure
        *colour, alpha = to_rgba(one.get_color(), one.get_alpha())
        for sight in SIGHT:
            ratios = contrast(alpha * np.array(colour) + (1 - alpha) * behind, behind, sight)
            if (found := float(np.quantile(ratios, 0.1))) < TEXT:
                yield one.get_text(), sight, round(found, 2)


def test_the_computation_finds_what_cannot_be_read() -> None:
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    axes.axis("off")
    axes.fill_between([0, 1], 0, 1, color="#D55E00")
    for height, colour in ((0.2, "black"), (0.5, "white"), (0.8, "#777777")):
        axes.text(0.5, height, colour, color=colour)
    found = dict.fromkeys(word for word, _, _ in low_contrast(figure))
    assert list(found) == ["white", "#777777"]
    assert contrast([0, 0, 0], [1, 1, 1]) == pytest.approx(21)


def test_words_in_the_report_s_figures(
    make: Callable[..., ReportInput], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    low: list[list[tuple[str, str, float]]] = []

    def measured(figure: Figure, file: Any, *, format: str, **options: Any) -> None:
        if format == "png":  # written nowhere: only what is drawn counts here
            low.append(list(low_contrast(figure)))

    monkeypatch.setattr(Figure, "savefig", measured)
    build_report(make(weightings=("equal", "dwa", "pcgrad"), images=6), tmp_path / "report", workers=1)
    assert len(low) > 15
    assert [words for words in low if words] == []


@pytest.mark.parametrize("sight", SIGHT)
def test_words_in_the_diagrams(sight: str) -> None:
    tasks = {f"task{number}": 3 for number in range(len(COLOURS))}
    low = []
    for model, options in (("segnet_mtan", {"width": 1 / 8}), ("resnet_mmoe", {"depth": 18})):
        behind: list[tuple[float, float, float, float, np.ndarray]] = []
        words = 0
        for one in ET.fromstring(draw_svg(model, tasks, **options)).iter():
            if one.tag == f"{SVG}text":
                words += 1
                x, y = float(one.get("x", "nan")), float(one.get("y", "nan")) - 3
                inside = [area for x0, y0, x1, y1, area in behind if x0 <= x <= x1 and y0 <= y <= y1]
                assert inside, f"{model}: '{one.text}' stands outside of the picture"
                ratio = contrast(to_rgba(one.get("fill"))[:3], inside[-1], sight)
                if ratio < TEXT:
                    low.append((model, one.text, round(float(ratio), 2)))
            elif (box := extent(one)) is not None and one.get("fill") != "none":
                alpha = float(one.get("fill-opacity", 1))
                under = np.ones(3)
                behind.append((*box, alpha * np.array(to_rgba(one.get("fill"))[:3]) + (1 - alpha) * under))
        assert words > 20
    assert low == []


def extent(shape: ET.Element) -> tuple[float, float, float, float] | None:
    """(left, top, right, bottom) of a rectangle, circle or polygon; None for anything else."""
    if shape.tag == f"{SVG}rect":
        x, y, width, height = (float(shape.get(name, 0)) for name in ("x", "y", "width", "height"))
        return x, y, x + width, y + height
    if shape.tag == f"{SVG}circle":
        x, y, radius = (float(shape.get(name, 0)) for name in ("cx", "cy", "r"))
        return x - radius, y - radius, x + radius, y + radius
    if shape.tag == f"{SVG}polygon":
        points = np.array([point.split(",") for point in shape.get("points", "").split()], float)
        return (*points.min(0), *points.max(0))
    return None


@pytest.mark.parametrize("sight", SIGHT)
def test_lines_and_parts_stand_out_from_the_page(sight: str) -> None:
    low = {colour: float(contrast(to_rgba(colour)[:3], [1, 1, 1], sight)) for colour in COLOURS}
    assert {colour: ratio for colour, ratio in low.items() if ratio < GRAPHICS} == {}
