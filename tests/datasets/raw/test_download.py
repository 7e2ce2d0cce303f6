"""Downloads from a server on loopback that drops, refuses, lies, truncates, redirects and asks for a login."""

import errno
import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import requests

from mtlbench.datasets.raw import http
from mtlbench.datasets.raw.accounts import NetrcAuth
from mtlbench.datasets.raw.download import download
from mtlbench.datasets.raw.files import Login, RawFile
from mtlbench.datasets.raw.http import Patience
from mtlbench.system import disk
from mtlbench.system.errors import DataError

from .server import Handler, Site, site

BODY = bytes(range(256)) * 20_000  # 5.1 MB: several blocks


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as running:
        running.content["/data.bin"] = BODY
        yield running


@pytest.fixture
def waits() -> list[float]:
    """The waits that were asked for."""
    return []


@pytest.fixture
def patience(waits: list[float]) -> Patience:
    return Patience(attempts=4, timeout=5, sleep=waits.append)


def raw_file(web: Site, *paths: str, **fields: object) -> RawFile:
    addresses = tuple(web.url + path for path in (paths or ("/data.bin",)))
    known = {"bytes": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest(), **fields}
    return RawFile("data.bin", addresses, **known)  # type: ignore[arg-type]


def quiet(done: int, total: int) -> None:
    """No progress output."""


def only(folder: Path, *names: str) -> bool:
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_a_file_arrives_whole_and_is_not_fetched_again(tmp_path: Path, web: Site, patience: Patience) -> None:
    steps: list[tuple[int, int]] = []
    paths = download([raw_file(web)], tmp_path, lambda *step: steps.append(step), patience)
    assert paths == [tmp_path / "data.bin"]
    assert paths[0].read_bytes() == BODY
    assert steps[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert only(tmp_path, "data.bin")
    download([raw_file(web)], tmp_path, quiet, patience)
    assert len(web.requests) == 1


def test_a_dropped_connection_is_continued_where_it_broke(tmp_path: Path, web: Site, patience: Patience) -> None:
    web.answers["/data.bin"] = [lambda h: h.serve(BODY, cut=2_500_000), lambda h: h.serve(BODY, cut=1_500_000)]
    download([raw_file(web)], tmp_path, quiet, patience)
    assert (tmp_path / "data.bin").read_bytes() == BODY
    starts = [int((asked or "bytes=0-")[6:-1]) for _, asked in web.requests]
    assert starts[0] == 0
    assert 0 < starts[1] < starts[2]
    assert only(tmp_path, "data.bin")


def test_a_server_that_ignores_range_sends_everything_again(tmp_path: Path, web: Site, patience: Patience) -> None:
    web.answers["/data.bin"] = [lambda h: h.serve(BODY, cut=3_000_000), lambda h: h.serve(BODY, ranges=False)]
    download([raw_file(web)], tmp_path, quiet, patience)
    assert (tmp_path / "data.bin").read_bytes() == BODY


def test_a_file_that_changed_meanwhile_is_not_mixed(tmp_path: Path, web: Site, patience: Patience) -> None:
    other = BODY[::-1]

    def replace(handler: Handler) -> None:
        handler.site.tag, handler.site.content["/data.bin"] = '"second"', BODY
        handler.serve(BODY)

    web.answers["/data.bin"] = [lambda h: h.serve(other, cut=3_000_000), replace]
    download([raw_file(web)], tmp_path, quiet, patience)
    assert (tmp_path / "data.bin").read_bytes() == BODY


def test_busy_answers_are_waited_out(tmp_path: Path, web: Site, patience: Patience, waits: list[float]) -> None:
    web.answers["/data.bin"] = [
        lambda h: h.reply(503), lambda h: h.reply(503), lambda h: h.reply(429, Retry_After="7"),
    ]  # fmt: skip
    download([raw_file(web)], tmp_path, quiet, patience)
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert 0.75 <= waits[0] <= 1.25
    assert 1.5 <= waits[1] <= 2.5  # twice as long
    assert waits[2] == 7


def test_it_gives_up_after_the_allowed_attempts(tmp_path: Path, web: Site, patience: Patience) -> None:
    web.answers["/data.bin"] = [lambda h: h.reply(503)] * 20
    with pytest.raises(DataError, match=r"data.bin could not be downloaded(.|\n)*gave up after 4 attempts.*503"):
        download([raw_file(web)], tmp_path, quiet, patience)
    assert len(web.requests) == 4


def test_a_missing_file_goes_to_the_next_address_at_once(
    tmp_path: Path, web: Site, patience: Patience, waits: list[float]
) -> None:
    download([raw_file(web, "/gone.bin", "/data.bin")], tmp_path, quiet, patience)
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert [path for path, _ in web.requests] == ["/gone.bin", "/data.bin"]
    assert waits == []


def test_when_all_addresses_fail_each_reason_is_given(tmp_path: Path, web: Site, patience: Patience) -> None:
    web.content["/short.bin"] = BODY[:1000]
    with pytest.raises(DataError) as error:
        download([raw_file(web, "/gone.bin", "/short.bin")], tmp_path, quiet, patience)
    text = str(error.value)
    assert "/gone.bin: the server answered 404 Not Found" in text
    assert f"/short.bin: {tmp_path}" in text
    assert f"expected {len(BODY)} bytes, found 1000" in text
    assert str(tmp_path / "data.bin") in text
    assert only(tmp_path)  # nothing that could later count as the file


def test_a_corrupted_body_is_refused_and_the_mirror_used(tmp_path: Path, web: Site, patience: Patience) -> None:
    web.content["/bad.bin"] = BODY[:-1] + b"x"
    download([raw_file(web, "/bad.bin", "/data.bin")], tmp_path, quiet, patience)
    assert (tmp_path / "data.bin").read_bytes() == BODY
    (tmp_path / "data.bin").unlink()
    with pytest.raises(DataError, match="wrong checksum: expected sha256"):
        download([raw_file(web, "/bad.bin")], tmp_path, quiet, patience)
    assert only(tmp_path)


def test_md5_is_used_where_there_is_no_sha256(tmp_path: Path, web: Site, patience: Patience) -> None:
    download([raw_file(web, sha256=None, md5=hashlib.md5(BODY).hexdigest())], tmp_path, quiet, patience)
    (tmp_path / "data.bin").unlink()
    with pytest.raises(DataError, match="expected md5 00"):
        download([raw_file(web, sha256=None, md5="00" * 16)], tmp_path, quiet, patience)


def test_a_redirect_is_followed(tmp_path: Path, web: Site, patience: Patience) -> None:
    web.answers["/old.bin"] = [lambda h: h.reply(302, Location="/data.bin")]
    download([raw_file(web, "/old.bin")], tmp_path, quiet, patience)
    assert (tmp_path / "data.bin").read_bytes() == BODY


def test_a_web_page_is_not_taken_for_the_file(tmp_path: Path, web: Site, patience: Patience) -> None:
    web.answers["/data.bin"] = [lambda h: h.serve(b"<html>please log in</html>", kind="text/html; charset=utf-8")]
    with pytest.raises(DataError, match="a web page came instead"):
        download([raw_file(web, bytes=None, sha256=None)], tmp_path, quiet, patience)
    assert only(tmp_path)


def test_a_complete_part_is_recognised(tmp_path: Path, web: Site, patience: Patience) -> None:
    # The process was killed after the last byte and before the renaming.
    (tmp_path / ".data.bin.part").write_bytes(BODY)
    (tmp_path / ".data.bin.part.json").write_text(f'{{"url": "{web.url}/data.bin", "tag": "\\"first\\""}}')
    download([raw_file(web)], tmp_path, quiet, patience)
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert web.requests == [("/data.bin", f"bytes={len(BODY)}-")]


def test_a_part_of_another_address_is_not_continued(tmp_path: Path, web: Site, patience: Patience) -> None:
    (tmp_path / ".data.bin.part").write_bytes(b"z" * 1000)
    (tmp_path / ".data.bin.part.json").write_text('{"url": "http://elsewhere/data.bin", "tag": ""}')
    download([raw_file(web)], tmp_path, quiet, patience)
    assert (tmp_path / "data.bin").read_bytes() == BODY


def test_a_damaged_file_is_replaced_only_by_the_right_one(tmp_path: Path, web: Site, patience: Patience) -> None:
    (tmp_path / "data.bin").write_bytes(b"damaged")
    with pytest.raises(DataError):
        download([raw_file(web, "/gone.bin")], tmp_path, quiet, patience)
    assert (tmp_path / "data.bin").read_bytes() == b"damaged"
    download([raw_file(web)], tmp_path, quiet, patience)
    assert (tmp_path / "data.bin").read_bytes() == BODY


def test_no_server(tmp_path: Path, patience: Patience, waits: list[float]) -> None:
    with site() as gone:
        address = gone.url
    file = RawFile("data.bin", (f"{address}/data.bin",), instructions="Ask the authors.")
    with pytest.raises(DataError, match=r"no connection(.|\n)*Ask the authors"):
        download([file], tmp_path, quiet, patience)
    assert len(waits) == 3


def test_files_that_need_a_person(tmp_path: Path) -> None:
    file = RawFile("secret.tgz", instructions="Register at example.org and fetch secret.tgz.")
    with pytest.raises(DataError, match=r"put them into this folder:\n  secret.tgz: Register at example.org"):
        download([file], tmp_path, quiet)
    (tmp_path / "secret.tgz").write_bytes(b"here")
    assert download([file], tmp_path, quiet) == [tmp_path / "secret.tgz"]


def test_a_file_that_is_not_required_may_be_missing(
    tmp_path: Path, web: Site, patience: Patience, capfd: pytest.CaptureFixture
) -> None:
    extra = RawFile("extra.bin", (f"{web.url}/gone.bin",), required=False)
    assert download([extra, raw_file(web)], tmp_path, quiet, patience) == [tmp_path / "data.bin"]
    assert "extra.bin is not needed and left out" in capfd.readouterr().err


def test_a_full_disk(tmp_path: Path, web: Site, patience: Patience, monkeypatch: pytest.MonkeyPatch) -> None:
    real = http.store

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    web.answers["/data.bin"] = [lambda h: h.serve(BODY, cut=2_500_000)]
    stores = iter([real, full])
    monkeypatch.setattr(http, "store", lambda *args: next(stores)(*args))
    with pytest.raises(DataError, match=r"disk or quota is full.*continues where it stopped"):
        download([raw_file(web)], tmp_path, quiet, patience)
    assert not (tmp_path / "data.bin").exists()
    monkeypatch.setattr(http, "store", real)
    download([raw_file(web)], tmp_path, quiet, patience)
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert web.requests[-1][1] is not None  # it did continue


def test_too_little_space_is_seen_before_the_first_byte(
    tmp_path: Path, web: Site, patience: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: type("usage", (), {"free": 1000}))
    with pytest.raises(DataError, match="disk or quota is full"):
        download([raw_file(web)], tmp_path, quiet, patience)
    assert not (tmp_path / ".data.bin.part").exists()


SCRIPT = """
import sys
from pathlib import Path
from mtlbench.datasets.raw.files import RawFile
from mtlbench.datasets.raw.download import download
download([RawFile("data.bin", (sys.argv[1],))], Path(sys.argv[2]), lambda done, total: print(done, flush=True))
"""


def slowly(handler: Handler) -> None:
    """Half of the file, a pause of a second, the rest."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(BODY)))
    handler.send_header("ETag", handler.site.tag)
    handler.end_headers()
    try:
        handler.wfile.write(BODY[:3_000_000])
        handler.wfile.flush()
        time.sleep(1.0)
        handler.wfile.write(BODY[3_000_000:])
    except (BrokenPipeError, ConnectionResetError):  # the client was killed
        handler.close_connection = True


def run(web: Site, folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, f"{web.url}/data.bin", str(folder)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_kill_9_and_again_continues(tmp_path: Path, web: Site, patience: Patience) -> None:
    web.answers["/data.bin"] = [slowly]
    process = run(web, tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate()
    assert not (tmp_path / "data.bin").exists()
    download([raw_file(web)], tmp_path, quiet, patience)
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert web.requests[-1][1] is not None


@pytest.mark.slow
def test_two_processes_fetch_it_once(tmp_path: Path, web: Site) -> None:
    web.answers["/data.bin"] = [slowly]
    first, second = run(web, tmp_path), run(web, tmp_path)
    for process in (first, second):
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert len(web.requests) == 1
    assert only(tmp_path, "data.bin")


def with_login(web: Site) -> RawFile:
    login = Login(f"{web.url}/login/", "TEST_USERNAME", "TEST_PASSWORD")
    return raw_file(web, login=login, instructions="Register at the site.")


def accept(handler: Handler) -> None:
    form = parse_qs(handler.form)
    good = form == {"username": ["anna"], "password": ["s3cret"], "submit": ["Login"]}
    handler.reply(302 if good else 200, Location="/", Set_Cookie="session=1; Path=/")


def guarded(handler: Handler) -> None:
    if "session=1" in handler.headers.get("Cookie", ""):
        handler.serve(BODY)
    else:
        handler.serve(b"<html>log in</html>", kind="text/html")


@pytest.fixture
def guarded_web(web: Site, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Site:
    web.content["/login/"] = b"form"
    web.answers |= {"POST /login/": [accept], "/data.bin": [guarded]}
    monkeypatch.delenv("TEST_USERNAME", raising=False)
    monkeypatch.delenv("TEST_PASSWORD", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path_factory.mktemp("home") / "netrc"))
    return web


def test_login_from_the_environment_leaves_no_trace(
    tmp_path: Path, guarded_web: Site, patience: Patience, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("TEST_USERNAME", "anna")
    monkeypatch.setenv("TEST_PASSWORD", "s3cret")
    download([with_login(guarded_web)], tmp_path, None, patience)
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert only(tmp_path, "data.bin")
    assert "s3cret" not in "".join(capfd.readouterr())


def test_login_from_netrc(
    tmp_path: Path, guarded_web: Site, patience: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "netrc"
    file.write_text("machine 127.0.0.1 login anna password s3cret\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    download([with_login(guarded_web)], tmp_path / "out", quiet, patience)
    assert (tmp_path / "out" / "data.bin").read_bytes() == BODY


def test_a_refused_login_is_explained_without_the_account(
    tmp_path: Path, guarded_web: Site, patience: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_USERNAME", "anna")
    monkeypatch.setenv("TEST_PASSWORD", "wr0ng")
    with pytest.raises(DataError, match=r"refused the login.*TEST_USERNAME") as error:
        download([with_login(guarded_web)], tmp_path, quiet, patience)
    assert "wr0ng" not in str(error.value)


def test_no_account_gives_the_steps(tmp_path: Path, guarded_web: Site, patience: Patience) -> None:
    with pytest.raises(DataError, match=r"an account is needed. Register at the site. Or set TEST_USERNAME"):
        download([with_login(guarded_web)], tmp_path, quiet, patience)
    assert guarded_web.requests == []


@pytest.mark.parametrize("address", ["ftp://host/x", "file:///etc/hosts", "https://:99/x", "http://.host/x"])
def test_an_address_that_can_never_be_fetched_is_tried_once(
    tmp_path: Path, patience: Patience, waits: list[float], address: str
) -> None:
    with pytest.raises(DataError, match=r"data.bin could not be downloaded:\n.*can never be fetched"):
        download([RawFile("data.bin", (address,))], tmp_path, quiet, patience)
    assert waits == []


def test_a_redirect_to_another_scheme_is_not_tried_again(
    tmp_path: Path, web: Site, patience: Patience, waits: list[float]
) -> None:
    web.answers["/data.bin"] = [lambda h: h.reply(302, Location="ftp://host/data.bin")]
    with pytest.raises(DataError, match="can never be fetched"):
        download([raw_file(web)], tmp_path, quiet, patience)
    assert waits == []


def test_a_package_without_a_digest_must_be_a_zip_file(tmp_path: Path, web: Site, patience: Patience) -> None:
    file = RawFile("camera.zip", (f"{web.url}/data.bin",))
    with pytest.raises(DataError, match=r"expected a zip file, found 5120000 bytes that begin with"):
        download([file], tmp_path, quiet, patience)
    assert only(tmp_path)


@pytest.fixture
def named_web(web: Site, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site under the name data.example, as if it were another machine, with an account in ~/.netrc."""
    find = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest: find("127.0.0.1" if host == "data.example" else host, *rest)
    )
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine data.example login anna password s3cret\nmachine 127.0.0.1 login otto password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("NO_PROXY", "*")
    return web


def test_accounts_are_not_sent_over_http(
    tmp_path: Path, named_web: Site, patience: Patience, capfd: pytest.CaptureFixture
) -> None:
    seen: list[str | None] = []

    def look(handler: Handler) -> None:
        seen.append(handler.headers.get("Authorization"))
        handler.serve(BODY)

    there = named_web.url.replace("127.0.0.1", "data.example")
    named_web.answers["/data.bin"] = [look, look, look]
    download([RawFile("data.bin", (f"{there}/data.bin",))], tmp_path, quiet, patience)
    assert seen == [None]
    told = capfd.readouterr().err
    assert "data.bin: the account for data.example in ~/.netrc is sent over https only, not over http" in told
    assert "s3cret" not in told
    named_web.answers["/moved.bin"] = [lambda h: h.reply(302, Location=f"{there}/data.bin")]
    download([RawFile("moved.bin", (f"{named_web.url}/moved.bin",))], tmp_path, quiet, patience)
    assert seen == [None, None], "nor after a redirect"
    download([RawFile("own.bin", (f"{named_web.url}/data.bin",))], tmp_path, quiet, patience)
    assert seen[2] is not None, "this machine's own server gets it"


def test_without_the_account_the_refusal_says_why(tmp_path: Path, named_web: Site, patience: Patience) -> None:
    there = named_web.url.replace("127.0.0.1", "data.example")
    named_web.answers["/data.bin"] = [lambda h: h.reply(401)]
    with pytest.raises(DataError, match=r"401 .*the account for data.example in ~/.netrc is sent over https only"):
        download([RawFile("data.bin", (f"{there}/data.bin",))], tmp_path, quiet, patience)


def test_accounts_are_sent_over_https(named_web: Site) -> None:
    found = NetrcAuth()(requests.Request("GET", "https://data.example/data.bin").prepare())
    assert found.headers["Authorization"].startswith("Basic ")
