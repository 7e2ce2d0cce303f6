"""Where a dataset's raw files may come from: a folder, or an address to which the names of the files are appended."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from mtlbench.system.errors import ParamsError

#: Two letters at least, so that a drive of Windows is a folder.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_UNSAFE = re.compile(r"[\s\x00-\x1f\x7f]")


def is_address(source: str) -> bool:
    """Whether a source is an address and not a folder."""
    return "://" in source


def source_folder(source: str, where: str) -> Path:
    """The folder that a source names, ``~`` and ``~user`` put in; ParamsError when there is no such user."""
    try:
        return Path(source).expanduser()
    except RuntimeError:
        user = source.split("/")[0]
        raise ParamsError(f"{where}: there is no user {user} on this machine; write the folder's full path") from None


def check_source(source: Any, where: str) -> None:
    """Raise ParamsError unless ``source`` is None, a folder, or a plain http(s) address without secrets.

    params.yaml, dvc.lock and manifests are for everybody: accounts, tokens and keys are refused and never repeated.
    """
    if source is None:
        return
    if not isinstance(source, str) or not source.strip() or "\0" in source:
        raise ParamsError(f"{where}: expected a folder or an address (https://...), found {source!r}")
    if _SCHEME.match(source) is None and not is_address(source):
        return
    _check_address(source, where)


def _check_address(source: str, where: str) -> None:
    account, _, host = re.split(r"[/?#]", source.partition("://")[2])[0].rpartition("@")
    if account:
        raise ParamsError(
            f"{where}: expected an address without an account, because this file is shared; put "
            f"`machine {host.split(':')[0]} login <name> password <password>` into ~/.netrc (used over https only)"
        )
    if "?" in source or "#" in source:
        raise ParamsError(
            f"{where}: expected the address of a folder, to which the names of the files are appended, found one with "
            "a query or fragment. A token, key or signature in it would be in a file that is shared: fetch the files "
            "by hand and name their folder here, or use an account in ~/.netrc"
        )
    try:
        parts, port = urlsplit(source), urlsplit(source).port
    except ValueError as error:
        raise ParamsError(f"{where}: expected an address such as https://host/folder: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise ParamsError(
            f"{where}: expected http:// or https:// (or a folder of this machine), found {parts.scheme}:, which "
            "`mtlbench download` does not speak"
        )
    if _UNSAFE.search(source) or not _host_fits(parts) or port == 0:
        raise ParamsError(
            f"{where}: expected an address such as https://host/folder, found {source!r}: there is no valid host or "
            "port in it, or a space (which is written %20)"
        )


def _host_fits(parts: SplitResult) -> bool:
    """Whether the host can be looked up at all: labels of 1 to 63 characters."""
    try:
        return bool(parts.hostname) and bool(str(parts.hostname).encode("idna"))
    except UnicodeError:
        return False
