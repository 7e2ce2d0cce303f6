"""Sources of raw files in params.yaml: folders and plain http(s) addresses, refused before anything runs when wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtlbench import pipeline
from mtlbench.plan.params import load
from mtlbench.plan.sources import check_source, source_folder
from mtlbench.system.errors import ParamsError

SECRET = "s3cret-pass"


@pytest.mark.parametrize(
    "source",
    [None, "/data/nyuv2", "~/nyuv2", "../raw files", "C:/data", "a:b", "https://host/folder", "http://10.0.0.1:8080/x/",
     "https://[::1]:8080/x", "https://münchen.example/daten%20satz", "HTTPS://HOST/x"],
)  # fmt: skip
def test_folders_and_plain_addresses_are_taken(source: str | None) -> None:
    check_source(source, "datasets.rooms.source")


WRONG = [
    ("file:///data", "expected http:// or https:// .*found file:"),
    ("ftp://host/data", "found ftp:"),
    ("s3://bucket/data", "found s3:"),
    ("http:/host/data", "no valid host"),
    ("file:/data", "found file:"),
    ("://host", "found :"),
    ("https://host:port/data", "expected an address such as https://host/folder"),
    ("https://host:99999/data", "expected an address such as"),
    ("https://host:0/data", "no valid host or port"),
    ("https:///data", "no valid host"),
    ("https://[::1/data", "expected an address such as"),
    ("https://a host/data", "a space"),
    ("https://host/da ta", "a space"),
    ("https://host/da\nta", "a space"),
    ("https://.host/data", "no valid host"),
    ("https://" + "a" * 64 + ".org/", "no valid host"),
    ("", "expected a folder or an address"),
    ("  ", "expected a folder or an address"),
    ("a\0b", "expected a folder or an address"),
    (3, "expected a folder or an address.*found 3"),
    (["/data"], "expected a folder or an address"),
    (True, "expected a folder or an address"),
]


@pytest.mark.parametrize(("source", "message"), WRONG)
def test_what_is_neither_is_refused(source: object, message: str) -> None:
    with pytest.raises(ParamsError, match=f"^datasets.rooms.source: .*{message}") as error:
        check_source(source, "datasets.rooms.source")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "address",
    [f"https://host/data?token={SECRET}", f"https://host/data?x=1&key={SECRET}", f"https://host/data?sig={SECRET}",
     f"https://host/data?X-Amz-Signature={SECRET}", f"https://host/data#{SECRET}", f"https://anna:{SECRET}@host/data",
     f"https://{SECRET}@host/data", f"ftp://anna:{SECRET}@host/data", f"https://anna:{SECRET}@ho st/data",
     f"https://anna:[{SECRET}]@host/data", f"https://anna:{SECRET}@host:port/"],
)  # fmt: skip
def test_secrets_in_an_address_are_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ParamsError, match="shared") as error:
        check_source(address, "datasets.rooms.source")
    assert SECRET not in str(error.value)


ANYTHING = st.one_of(
    st.text(max_size=30), st.from_regex(r"https?://[!-~]{0,30}", fullmatch=True), st.integers(), st.booleans(),
    st.lists(st.text(max_size=3), max_size=3), st.floats(), st.binary(max_size=5),
)  # fmt: skip


@settings(derandomize=True, max_examples=80, deadline=None)
@given(ANYTHING)
def test_anything_is_taken_or_refused_in_one_line(source: object) -> None:
    try:
        check_source(source, "datasets.rooms.source")
    except ParamsError as error:
        assert len(str(error).split("\n")) == 1  # noqa: PT017


def test_an_unknown_user_is_told_when_the_folder_is_looked_for(project, edit) -> None:
    options = "kind: nyuv2, source: ~nobody-of-that-name/data, height: 96, width: 128"
    edit("{kind: rooms, height: 32, width: 32, train: 6, test: 3, seed: 1}", f"{{{options}}}")
    with pytest.raises(ParamsError, match=r"datasets.rooms.source: there is no user ~nobody-of-that-name"):
        pipeline.prepare(load(), "rooms")
    assert source_folder("~/data", "here").is_absolute()


def test_a_wrong_source_is_refused_when_params_yaml_is_read(project, edit) -> None:
    edit("{kind: rooms, height", "{kind: rooms, source: 'ftp://host/data', height")
    with pytest.raises(ParamsError, match=r"params.yaml: datasets.rooms.source: expected http:// or https://"):
        load()
