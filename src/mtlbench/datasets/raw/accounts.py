"""Sessions for downloads, with a login where the site wants one. Accounts never reach files, logs or messages."""

import ipaddress
import netrc
import os
from urllib.parse import urlsplit

import requests

from mtlbench.datasets.raw.files import Login, RawFile
from mtlbench.system.errors import DataError

_NAME = "mtlbench (data set preparation)"


class NetrcAuth(requests.auth.AuthBase):
    """The account that ~/.netrc holds for an address's host, sent over https only (or to this machine itself).

    Over http everybody on the way could read it: the request goes out without it, and ``warning`` says so.
    """

    warning = ""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the account to a request, also to one that a redirect made."""
        request.headers.pop("Authorization", None)
        address = request.url or ""
        parts, account = urlsplit(address), requests.utils.get_netrc_auth(address)
        if account and (parts.scheme == "https" or _is_this_machine(parts.hostname or "")):
            return requests.auth.HTTPBasicAuth(*account)(request)
        if account:
            self.warning = f"the account for {parts.hostname} in ~/.netrc is sent over https only, not over http"
        return request


class _Session(requests.Session):
    """Asks for the account again after every redirect, which requests does by itself over http, too."""

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Give the redirected request the account of its own address, if any."""
        prepared_request.prepare_auth(self.auth)


def open_session(file: RawFile, url: str, timeout: float) -> requests.Session:
    """A session that may fetch ``file`` from ``url``; raises DataError when the login fails.

    Only addresses on the login form's own host get a login: a mirror needs none and must not see the account.
    """
    session = _Session()
    session.auth = NetrcAuth()
    session.headers["User-Agent"] = _NAME
    if file.login is not None and urlsplit(url)[:2] == urlsplit(file.login.url)[:2]:
        _log_in(session, file, file.login, timeout)
    return session


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _log_in(session: requests.Session, file: RawFile, login: Login, timeout: float) -> None:
    user, password = _account(file, login)
    form = {"username": user, "password": password, "submit": "Login"}
    try:
        session.get(login.url, timeout=timeout)
        answer = session.post(login.url, data=form, timeout=timeout, allow_redirects=False)
    except requests.RequestException:
        raise DataError(f"no connection to {login.url} (no network, or the server is down)") from None
    # The site answers a good login with a redirect, a bad one with the form again.
    if answer.status_code not in (301, 302, 303):
        raise DataError(
            f"{login.url} refused the login (answer {answer.status_code}): check {login.user_variable} and "
            f"{login.password_variable}, or the entry for {urlsplit(login.url).hostname} in ~/.netrc"
        )


def _account(file: RawFile, login: Login) -> tuple[str, str]:
    user, password = os.environ.get(login.user_variable), os.environ.get(login.password_variable)
    if user and password:
        return user, password
    host = urlsplit(login.url).hostname or ""
    try:
        entry = netrc.netrc(os.environ.get("NETRC")).authenticators(host)
    except FileNotFoundError:
        entry = None
    except netrc.NetrcParseError as error:
        raise DataError(f"~/.netrc line {error.lineno}: cannot be read ({error.msg})") from None
    if entry and entry[0] and entry[2]:
        return entry[0], entry[2]
    raise DataError(
        f"an account is needed. {file.instructions} Or set {login.user_variable} and {login.password_variable} in the "
        f"environment, or add a line for {host} to ~/.netrc; they are used for the download only and stored nowhere"
    )
