"""Headless Chromium through its debugging pipe: no driver, no port, no library."""

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--force-device-scale-factor=1", "--remote-debugging-pipe",
]  # fmt: skip


class Browser:
    """One page of a Chromium of its own; events that arrive meanwhile are kept in ``events``."""

    def __init__(self, profile: Path) -> None:
        command = [shutil.which("chromium") or "chromium", *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        their_in, self._out = os.pipe()
        self._in, their_out = os.pipe()

        def three_and_four() -> None:  # the numbers that Chromium expects; moved up first, as they may collide
            high = os.dup(their_in), os.dup(their_out)
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        # pass_fds would close 3 and 4 again
        self._process = subprocess.Popen(
            command, preexec_fn=three_and_four, close_fds=False, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        os.close(their_in)
        os.close(their_out)
        self._rest, self._last, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        pages = [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        target = pages[0]["targetId"] if pages else self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._in, 1 << 20)
            if not more:
                raise RuntimeError("Chromium ended")
            self._rest += more
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol; waits for its answer."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._last:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, page: Path) -> None:
        """Load a file and wait until it is there."""
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())

    def size(self, width: int, height: int) -> None:
        """The inner size of the window in CSS pixels; a phone's below 500."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 500)  # fmt: skip

    def run(self, script: str) -> Any:
        """The value that a script ``return``s; a promise is awaited."""
        answer = self.call("Runtime.evaluate", expression=f"(async () => {{ {script} }})()", awaitPromise=True,
                           returnByValue=True)  # fmt: skip
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def load_everything(self) -> None:
        """Open what is folded, load the pictures that wait to be scrolled to."""
        self.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        self.run("document.querySelectorAll('img').forEach(i => { i.loading = 'eager'; })")
        deadline = time.monotonic() + 60
        while not self.run("return [...document.images].every(i => i.complete)"):
            if time.monotonic() > deadline:
                raise TimeoutError("pictures are not loaded")
            time.sleep(0.1)

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def pdf(self, path: Path) -> None:
        """The page as printed, in the size that its style sheet asks for."""
        answer = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=False)
        path.write_bytes(base64.b64decode(answer["data"]))

    def quit(self) -> None:
        """End Chromium."""
        self._session = ""
        self.call("Browser.close")
        self._process.wait(30)
        os.close(self._in)
        os.close(self._out)
