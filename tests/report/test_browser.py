"""The page in a real browser: headless Chromium, driven through chromedriver's HTTP interface."""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    shutil.which("chromedriver") is None or shutil.which("chromium") is None,
    reason="no Chromium (apt: chromium, chromium-driver)",
)
_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--force-device-scale-factor=1",
]  # fmt: skip


class Browser:
    """The few WebDriver commands that the tests need."""

    def __init__(self, port: int, profile: Path) -> None:
        self.base = f"http://127.0.0.1:{port}"
        options = {"args": [*_FLAGS, f"--user-data-dir={profile}"], "binary": shutil.which("chromium")}
        logging = {"browser": "ALL", "performance": "ALL"}
        wanted = {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": logging}}
        session = self._call("POST", "/session", {"capabilities": wanted})
        self.base += f"/session/{session['sessionId']}"

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=90) as answer:
            return json.loads(answer.read())["value"]

    def open(self, page: Path) -> None:
        self._call("POST", "/url", {"url": page.as_uri()})

    def size(self, width: int, height: int) -> None:
        self._call("POST", "/window/rect", {"width": width, "height": height})

    def run(self, script: str) -> Any:
        return self._call("POST", "/execute/sync", {"script": script, "args": []})

    def log(self, kind: str) -> list[dict[str, Any]]:
        return self._call("POST", "/se/log", {"type": kind})

    def quit(self) -> None:
        self._call("DELETE", "")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    profile = tmp_path_factory.mktemp("profile")
    with subprocess.Popen(
        ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as driver:
        try:
            yield Browser(_port(driver), profile)
        finally:
            driver.terminate()


def _port(driver: subprocess.Popen) -> int:
    """The port that chromedriver chose; it prints it when it is ready."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        line = driver.stdout.readline()
        if "started successfully on port" in line:
            return int(line.rstrip().rstrip(".").rsplit(" ", 1)[1])
    raise TimeoutError("chromedriver did not start")


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
    return [float(text.split("±")[0].replace("−", "-")) for text in texts if text != "–"]


def test_the_page_works_from_a_file(built: Path, browser: Browser) -> None:
    browser.run("location = 'about:blank'")
    browser.log("performance")  # what the browser loaded for itself
    browser.open(built / "index.html")
    browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    browser.run("document.querySelectorAll('img').forEach(i => { i.loading = 'eager'; })")
    deadline = time.monotonic() + 30
    while (
        not (loaded := browser.run("return [...document.images].every(i => i.complete)"))
        and time.monotonic() < deadline
    ):
        time.sleep(0.2)
    assert loaded
    assert browser.run("return [...document.images].filter(i => i.naturalWidth === 0).map(i => i.src)") == []
    assert browser.run("return document.images.length") > 10
    problems = [line["message"] for line in browser.log("browser") if line["level"] in ("SEVERE", "WARNING")]
    assert problems == []
    requests = [json.loads(line["message"])["message"] for line in browser.log("performance")]
    addresses = [r["params"]["request"]["url"] for r in requests if r["method"] == "Network.requestWillBeSent"]
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


@pytest.mark.parametrize("width", [390, 768, 1300])
def test_no_width_makes_the_page_scroll_sideways(built: Path, browser: Browser, width: int) -> None:
    browser.size(width, 900)
    browser.open(built / "index.html")
    inner, whole = browser.run("return [document.documentElement.clientWidth, document.documentElement.scrollWidth]")
    assert whole <= inner


def test_names_from_params_are_text(built: Path, browser: Browser) -> None:
    browser.open(built / "index.html")
    assert browser.run("return document.querySelector('h1').textContent") == "Rooms <b>& more</b>"
    assert browser.run("return document.querySelectorAll('h1 b').length") == 0
    title = browser.run("return document.querySelector('sup.missing').closest('td').title")
    assert title == "seed 1: DivergedError: NaN in <depth> & co"
