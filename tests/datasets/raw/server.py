"""A web server on loopback that misbehaves as a test tells it to."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: A way to answer one request.
Answer = Callable[["Handler"], None]


@dataclass
class Site:
    """The content at each path and how the next requests to it are answered; afterwards they are answered well."""

    url: str
    content: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    #: (path, Range header) of every request.
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    tag: str = '"first"'


class Handler(BaseHTTPRequestHandler):
    """Serves ``site.content`` with Range and If-Range, unless a prepared answer is waiting."""

    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        self.site.requests.append((self.path, self.headers.get("Range")))
        waiting = self.site.answers.get(self.path, [])
        if waiting:
            waiting.pop(0)(self)
        elif self.path in self.site.content:
            self.serve(self.site.content[self.path])
        else:
            self.reply(404)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.form = self.rfile.read(length).decode()
        self.site.requests.append((self.path, None))
        waiting = self.site.answers.get(f"POST {self.path}", [])
        waiting.pop(0)(self) if waiting else self.reply(404)

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def serve(self, body: bytes, ranges: bool = True, cut: int | None = None, kind: str = "application/octet-stream",
              length: int | None = None) -> None:  # fmt: skip
        """Send a file; ``cut`` closes the connection after so many bytes of the answer."""
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", self.site.tag) == self.site.tag
        if asked and ranges and same:
            start = int(asked[1])
            if start >= len(body):
                self.reply(416, Content_Range=f"bytes */{len(body)}")
                return
        part = body[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(part) if length is None else length))
        self.send_header("Content-Type", kind)
        self.send_header("ETag", self.site.tag)
        self.end_headers()
        self.wfile.write(part if cut is None else part[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Tests print nothing."""

    def finish(self) -> None:
        if not self.wfile.closed:
            try:
                super().finish()
            except (OSError, ValueError):  # the connection was closed on purpose
                self.rfile.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away on purpose are no news."""


@contextmanager
def site() -> Iterator[Site]:
    """A running server on a free port of 127.0.0.1."""
    handler = type("SiteHandler", (Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    handler.site = Site(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield handler.site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
