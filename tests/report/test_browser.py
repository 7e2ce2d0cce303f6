"""The page in a real browser: headless Chromium through its debugging pipe."""

import importlib.resources
import importlib.util
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .chromium import Browser

pytestmark = pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium (apt: chromium)")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.quit()


@pytest.fixture(params=["built", "searched_built"])
def page(request: pytest.FixtureRequest) -> Path:
    """The folder of a page without and with a search."""
    return request.getfixturevalue(request.param)


def test_the_tables_on_tuning_fit_a_desktop_and_a_phone(searched_built: Path, browser: Browser) -> None:
    widths = (
        "return [...document.querySelectorAll('#tuning .scroll')].map(e => [e.scrollWidth - e.clientWidth,"
        " e.getAttribute('aria-label')])"
    )
    browser.size(1300, 900)
    browser.open(searched_built / "index.html")
    assert [label for over, label in browser.run(widths) if over > 0] == []
    browser.size(390, 900)
    browser.open(searched_built / "index.html")
    inside = "The trial that the test set"  # a column for each metric: it scrolls within its box
    assert [label for over, label in browser.run(widths) if over > 0 and not label.startswith(inside)] == []


def column(browser: Browser, index: int) -> list[str]:
    """The texts of one column of the visible rows."""
    return browser.run(
        "return [...document.querySelectorAll('#main tbody tr')].filter(r => !r.hidden)"
        f".map(r => r.cells[{index}].textContent.trim())"
    )


def click(browser: Browser, index: int) -> str:
    """Click a column's heading; returns its sort state."""
    head = f"document.querySelectorAll('#main .columns th')[{index}]"
    browser.run(f"{head}.querySelector('button').click()")
    return browser.run(f"return {head}.getAttribute('aria-sort') || ''")


def values(texts: list[str]) -> list[float]:
    return [float(text.split("±")[0].rstrip("†").replace("−", "-")) for text in texts if text != "–"]


def test_the_page_works_from_a_file(built: Path, browser: Browser) -> None:
    browser.open(built / "index.html")
    browser.load_everything()
    assert browser.run("return [...document.images].filter(i => i.naturalWidth === 0).map(i => i.src)") == []
    assert browser.run("return document.images.length") > 10
    problems = [e["params"] for e in browser.events if e["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")]
    assert problems == []
    sent = [e["params"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    addresses = [one["request"]["url"] for one in sent]
    assert addresses
    assert [address for address in addresses if not address.startswith(("file:", "data:"))] == []


def test_sorting(built: Path, browser: Browser) -> None:
    browser.open(built / "index.html")
    given = column(browser, 1)
    miou = 3
    assert click(browser, miou) == "descending"  # the best on top first
    numbers = values(column(browser, miou))
    assert numbers == sorted(numbers, reverse=True)
    assert click(browser, miou) == "ascending"
    numbers = values(column(browser, miou))
    assert numbers == sorted(numbers)
    assert click(browser, miou) == ""
    assert column(browser, 1) == given
    error = 5
    assert click(browser, error) == "ascending"  # lower is better here
    numbers = values(column(browser, error))
    assert numbers == sorted(numbers)
    assert click(browser, 1) == "ascending"
    assert column(browser, 1) == sorted(given)
    assert browser.run("return document.querySelectorAll('[aria-sort]').length") == 1


def test_filtering(built: Path, browser: Browser) -> None:
    browser.open(built / "index.html")

    def type_in(text: str) -> None:
        script = f"const f = document.getElementById('filter'); f.value = {json.dumps(text)};"
        browser.run(script + "f.dispatchEvent(new Event('input'))")

    type_in("MTAN eq")
    assert column(browser, 1) == ["equal"]
    assert browser.run("return document.getElementById('shown').textContent") == "1 of 3 rows"
    type_in("nothing like that")
    assert column(browser, 1) == []
    type_in("")
    assert len(column(browser, 1)) == 3


def test_the_header_stays_in_sight(built: Path, browser: Browser) -> None:
    browser.size(1300, 500)
    browser.open(built / "index.html")
    top = browser.run(
        "const box = document.querySelector('.scroll.tall'); box.style.maxHeight = '150px'; box.scrollTop = 60;"
        "return [document.querySelector('#main thead').getBoundingClientRect().top - box.getBoundingClientRect().top,"
        " box.scrollTop]"
    )
    assert top[1] == 60
    assert abs(top[0]) < 4  # the box's border


def test_the_constant_prediction_stays_in_sight_and_covers_what_is_below(built: Path, browser: Browser) -> None:
    browser.size(1300, 500)
    browser.open(built / "index.html")
    browser.run(
        "const box = document.querySelector('.scroll.tall'); box.style.maxHeight = '150px';"
        "box.scrollIntoView({block: 'center', behavior: 'instant'})"
    )
    seen = (
        "return [...document.querySelectorAll('#main tfoot tr > *')].map(e => { const b = e.getBoundingClientRect();"
        " return document.elementFromPoint(b.left + b.width / 2, b.top + b.height / 2) === e })"
    )
    found = browser.run(seen)
    assert len(found) > 3
    assert all(found)


@pytest.mark.parametrize("width", [390, 768, 1300])
def test_no_width_makes_the_page_scroll_sideways(page: Path, browser: Browser, width: int) -> None:
    browser.size(width, 900)
    browser.open(page / "index.html")
    inner, whole = browser.run("return [document.documentElement.clientWidth, document.documentElement.scrollWidth]")
    assert whole <= inner


def test_names_from_params_are_text(built: Path, browser: Browser) -> None:
    browser.open(built / "index.html")
    assert browser.run("return document.querySelector('h1').textContent") == "Rooms <b>& more</b>"
    assert browser.run("return document.querySelectorAll('h1 b').length") == 0
    title = browser.run("return document.querySelector('sup.missing').closest('td').title")
    assert title == "seed 1: DivergedError: NaN in <depth> & co"


@pytest.mark.parametrize("width", [390, 1300])
def test_axe_finds_nothing(page: Path, browser: Browser, width: int) -> None:
    if importlib.util.find_spec("axe_playwright_python") is None:
        pytest.skip("no axe-core (pip: axe-playwright-python)")
    axe = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    browser.size(width, 900)
    browser.open(page / "index.html")
    browser.load_everything()
    browser.call("Runtime.evaluate", expression=axe)
    found = browser.run(
        "const r = await axe.run(document, {resultTypes: ['violations']});"
        "return r.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 200))]);"
    )
    assert found == []


def test_every_table_and_picture_says_what_it_is(page: Path, browser: Browser) -> None:
    browser.open(page / "index.html")
    assert browser.run("return [...document.querySelectorAll('table')].filter(t => !t.caption).length") == 0
    assert browser.run("return [...document.querySelectorAll('th:not([scope])')].map(h => h.outerHTML)") == []
    texts = browser.run(
        "return [...document.querySelectorAll('figure')].map(f => "
        "[f.querySelector('img').alt, f.querySelector('figcaption').textContent])"
    )
    assert texts
    assert [alt for alt, caption in texts if len(alt) < 10 or alt in caption] == []
    bare = "return [...document.querySelectorAll('.scroll, .diagram, pre')].filter(e => !(e.tabIndex === 0 && "
    assert browser.run(bare + "e.getAttribute('role') && e.getAttribute('aria-label'))).length") == 0


def test_a_phone_breaks_no_name_and_says_the_weighting_once(built: Path, browser: Browser) -> None:
    browser.size(390, 900)
    browser.open(built / "index.html")
    shown = browser.run("return document.querySelector('#main tbody tr').innerText")
    assert shown.count("single-task") == 1
    longest = (
        "const a = document.querySelector('#main tbody .name a'); const range = document.createRange();"
        "range.selectNodeContents(a); return range.getClientRects().length"
    )
    assert browser.run(longest) <= 2  # between words alone: the name has two


def test_it_prints_without_splitting_the_table(built: Path, browser: Browser, tmp_path: Path) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext (apt: poppler-utils)")
    browser.open(built / "index.html")
    browser.load_everything()
    browser.pdf(tmp_path / "page.pdf")
    run = ["pdftotext", "-layout", str(tmp_path / "page.pdf"), "-"]
    pages = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60).stdout.split("\f")
    assert "constant prediction" in pages[0]
    assert all(name in pages[0] for name in ("single-task", "equal", "dwa"))
