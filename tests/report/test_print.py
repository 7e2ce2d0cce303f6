"""The printed page of a grid as large as the demo's: how much of the paper stays empty."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtlbench.report.build import build_report
from mtlbench.report.rows.inputs import ReportInput

from .chromium import Browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium (apt: chromium)"),
    pytest.mark.skipif(shutil.which("pdftoppm") is None, reason="no pdftoppm (apt: poppler-utils)"),
]
DOTS, MARGIN = 36, 12  # per inch; millimetres, as in report.css


def empty_shares(pdf: Path, folder: Path) -> list[float]:
    """For each page the share of its height within the margins that is below the last ink."""
    subprocess.run(["pdftoppm", "-r", str(DOTS), "-gray", str(pdf), str(folder / "page")], check=True)
    edge, found = round(MARGIN / 25.4 * DOTS), []
    for path in sorted(folder.glob("page*.pgm")):
        with Image.open(path) as file:
            rows = np.flatnonzero((np.asarray(file) < 245).any(1))
            found.append(max(0, file.height - edge - 1 - int(rows.max(initial=edge))) / (file.height - 2 * edge))
    return found


@pytest.fixture(scope="module")
def page(make: Callable[..., ReportInput], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with the demo's number of rows, weightings and images."""
    out = tmp_path_factory.mktemp("page") / "it"
    build_report(make(weightings=("equal", "dwa", "uncertainty"), images=24, size=(64, 96), epochs=5), out)
    return out / "index.html"


@pytest.mark.parametrize("unfolded", [False, True])
def test_little_of_the_printed_pages_is_empty(page: Path, tmp_path: Path, unfolded: bool) -> None:
    browser = Browser(tmp_path / "profile")
    try:
        browser.open(page)
        folded = browser.run("return [...document.querySelectorAll('details')].map(d => d.open)")
        browser.load_everything()
        if not unfolded:
            states = ",".join(str(state).lower() for state in folded)
            browser.run(f"const s = [{states}]; document.querySelectorAll('details').forEach((d, i) => d.open = s[i])")
        browser.pdf(tmp_path / "page.pdf")
    finally:
        browser.quit()
    found = empty_shares(tmp_path / "page.pdf", tmp_path)
    print(len(found), [round(share, 2) for share in found])
    assert np.mean(found[:-1]) < 0.16  # the last page ends where the text does; before: 0.23 and 0.20
    assert max(found[:-1]) < 0.4  # before: 0.94, a second page of the table for its legend
