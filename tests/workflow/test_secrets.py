"""Accounts for downloads: used, and found in nothing that the workflow or DVC writes."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtlbench.datasets import _nyuv2_file as nyu
from mtlbench.plan import places

from ..datasets.nyuv2_files import rooms_as_nyuv2, write  # noqa: TID252
from ..datasets.raw.server import Handler, site  # noqa: TID252
from .conftest import Checkout, make_checkout, tiny_params

SECRET = "s3cret-pass"
ROOMS = "rooms: {kind: rooms, height: 32, width: 32, train: 6, test: 3, seed: 1}"


def guarded(handler: Handler) -> None:
    """Serve to the one account, answer 401 to everybody else."""
    wanted = "Basic " + base64.b64encode(f"anna:{SECRET}".encode()).decode()
    if handler.headers.get("Authorization") == wanted:
        handler.serve(handler.site.content[handler.path])
    else:
        handler.reply(401)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Raw files in the layout of NYU Depth V2."""
    folder = tmp_path_factory.mktemp("nyuv2")
    names = [row["name"] for row in nyu.class_table()]
    write(folder, rooms_as_nyuv2(2), [1], [2], ["den_0001", "hall_0001"], names.__getitem__)
    return folder


@pytest.fixture
def checkout(tmp_path, repository, files) -> Iterator[Checkout]:
    """A checkout whose dataset comes from a server on loopback that asks for an account."""
    with site() as web:
        for path in files.iterdir():
            web.content[f"/{path.name}"] = path.read_bytes()
            web.answers[f"/{path.name}"] = [guarded] * 9
        options = "height: 96, width: 128, normals: depth, checksums: none"
        text = tiny_params(repository).replace(ROOMS, f"rooms: {{kind: nyuv2, source: {web.url}, {options}}}")
        assert web.url in text
        yield make_checkout(tmp_path, repository, text)


def written(checkout: Checkout) -> list[Path]:
    """Every file of the checkout and of its home, the account's own aside."""
    found = [*checkout.folder.rglob("*"), *checkout.home.rglob("*")]
    return [path for path in found if path.is_file() and path.name != ".netrc"]


def test_an_account_in_netrc_is_used_and_written_nowhere(checkout) -> None:
    (checkout.home / ".netrc").write_text(f"machine 127.0.0.1 login anna password {SECRET}\n")
    (checkout.home / ".netrc").chmod(0o600)
    done = checkout.run("dvc", "repro", "prepare")
    kinds = {path.name.split(".")[0] for path in written(checkout)}
    assert {"manifest", "dvc", "nyu_depth_v2_labeled"} <= kinds, "manifests, dvc.lock and the raw file are there"
    assert list(checkout.folder.glob(f"{places.LOGS}/download/*.log"))
    secret = base64.b64encode(f"anna:{SECRET}".encode())
    for path in written(checkout):
        content = path.read_bytes()
        assert SECRET.encode() not in content, path
        assert secret not in content, path
    assert SECRET not in done.stdout + done.stderr


def test_without_the_account_the_message_says_where_it_goes(checkout) -> None:
    output = checkout.snakemake("prepared", check=False)
    assert "401" in output
    assert "~/.netrc" in output
    assert not list(checkout.folder.glob(f"{places.RAW}/*/manifest.*"))


def test_an_account_in_an_address_is_refused_without_repeating_it(checkout) -> None:
    text = (checkout.folder / "params.yaml").read_text()
    (checkout.folder / "params.yaml").write_text(text.replace("http://", f"http://anna:{SECRET}@"))
    done = checkout.run("mtlbench", "download", "rooms", check=False)
    assert done.returncode == 2
    assert "datasets.rooms.source: expected an address without an account" in done.stderr
    assert "machine 127.0.0.1 login" in done.stderr
    assert SECRET not in done.stderr
