"""Raw files that are damaged, hostile or of another kind: a DataError of one line that names them, nothing else.

The first half holds the kinds that are known; the second half makes new ones, so that the next kind is found by itself.
"""

import contextlib
import functools
import io
import os
import pickle
import signal
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mtlbench.datasets._nyuv2_file import read_splits
from mtlbench.datasets.raw import matlab as matlab_files
from mtlbench.datasets.raw import packages
from mtlbench.datasets.raw.arrays import read_array
from mtlbench.datasets.raw.matlab import read_matlab, whole_numbers
from mtlbench.datasets.raw.pictures import MOST_PIXELS, read_picture
from mtlbench.system.errors import DataError
from mtlbench.system.workers import run_apart

MEMBER = "gtFine/train/aachen/aachen_000001_000019_gtFine_labelIds.png"
ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)


def png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, format="PNG")
    return file.getvalue()


PICTURE = png(np.arange(64, dtype=np.uint8).reshape(8, 8))


def npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode("latin1") + b"\n"
    size = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    return b"\x93NUMPY" + version + size + text + data


def described(descr: str, shape: str, data: bytes = b"") -> bytes:
    return npy(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}", data)


def saved(value: object, name: str = "x") -> bytes:
    file = io.BytesIO()
    if name == "npz":
        np.savez(file, value)
    else:
        np.save(file, value, allow_pickle=True)
    return file.getvalue()


class Trap:
    """Would say so if it were unpickled."""

    def __reduce__(self) -> tuple:
        return (pytest.fail, ("unpickled",))


ARRAYS = {
    "an npz": (saved(ARRAY, "npz"), "no readable .npy file: found .* begin with b'PK"),
    "a pickle": (pickle.dumps([1]), "no readable .npy file"),
    "pickled objects": (saved(np.array([Trap()], object)), "found Python objects, which are never unpickled"),
    "745 GiB": (described("'<f8'", "(100000, 1000000)"), r"states the shape \(100000, 1000000\)"),
    "a header that lies": (described("'<f8'", "(10, 10)", b"12345"), "expected 800 bytes .* found 5"),
    "bytes after the array": (saved(ARRAY) + b"x", "expected 48 bytes .* found 49"),
    "a negative shape": (described("'<f8'", "(-1, 8)"), "expected numbers, found float64"),
    "text": (saved(np.array(["a"])), "expected numbers, found <U1"),
    "structures": (described("[('a', '<f8')]", "(1,)", bytes(8)), "expected numbers, found"),
    "complex": (saved(np.array([1j])), "expected numbers, found complex128"),
    "truth values": (saved(np.array([True])), "expected numbers, found bool"),
    "no header": (b"", "no readable .npy file: found 0 bytes"),
    "an endless header": (npy("{" * 5000), "no readable .npy file"),
    "a long header": (npy(" " * 20000), "no readable .npy file"),
    "no dictionary": (npy("3"), "no readable .npy file"),
    "a broken string": (npy("{'descr': '''"), "no readable .npy file"),
    "an unknown type": (described("'<q77'", "(1,)"), "no readable .npy file"),
    "version 3": (npy("{}", version=b"\x03\x00"), "version .3, 0. of the format"),
    "an absurd version 2": (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "no readable .npy file"),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_npy_files_that_are_none(tmp_path: Path, kind: str) -> None:
    content, message = ARRAYS[kind]
    (tmp_path / "0.npy").write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_array(tmp_path / "0.npy", 1000)
    assert str(error.value).startswith(f"{tmp_path / '0.npy'}: ")
    assert "\n" not in str(error.value)


def test_npy_files_that_are_right(tmp_path: Path) -> None:
    for array in (ARRAY, np.asfortranarray(ARRAY), ARRAY.astype(">i2"), np.float64(3), np.zeros((0, 3))):
        np.save(tmp_path / "0.npy", array)
        found = read_array(tmp_path / "0.npy", 12)
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)
    with pytest.raises(DataError, match=r"expected a \.npy file, found none"):
        read_array(tmp_path, 12)


def bomb(path: Path, size: int, method: int = zipfile.ZIP_DEFLATED) -> None:
    """A member of ``size`` zero bytes."""
    with zipfile.ZipFile(path, "w", method) as archive, archive.open(MEMBER, "w") as file:
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))


def patched(content: bytes, at_local: int, at_central: int, value: bytes) -> bytes:
    """Bytes of the member's two headers replaced."""
    changed, central = bytearray(content), content.rindex(b"PK\x01\x02")
    changed[at_local : at_local + len(value)] = value
    changed[central + at_central : central + at_central + len(value)] = value
    return bytes(changed)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "gtFine_trainvaltest.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MEMBER, PICTURE)
    return path


def test_an_encrypted_member(place: Path) -> None:
    place.write_bytes(patched(place.read_bytes(), 6, 8, b"\x01\x00"))
    with pytest.raises(DataError, match=r"member 'gtFine/.*labelIds.png' is encrypted"):
        packages.read(place, MEMBER)


def test_a_member_whose_packed_bytes_are_damaged(place: Path) -> None:
    content = bytearray(place.read_bytes())
    content[30 + len(MEMBER) : 34 + len(MEMBER)] = b"\xff\xff\xff\xff"
    place.write_bytes(content)
    with pytest.raises(DataError, match=r"member .* cannot be read"):
        packages.read(place, MEMBER)


@pytest.mark.parametrize("honest", [True, False])
def test_a_bomb_takes_no_memory(place: Path, honest: bool) -> None:
    bomb(place, 100 << 20)
    if not honest:  # the headers state a small size
        place.write_bytes(patched(place.read_bytes(), 22, 24, struct.pack("<I", 1000)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"unpacks to 104857600 bytes" if honest else "cannot be read"):
            packages.read(place, MEMBER)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_methods_that_unpack_without_a_bound(place: Path) -> None:
    bomb(place, 1 << 20, zipfile.ZIP_BZIP2)
    with pytest.raises(DataError, match="packed by method 12, expected stored or deflated"):
        packages.read(place, MEMBER)


def test_unpacked_files_that_cannot_be_right(tmp_path: Path) -> None:
    folder = tmp_path / "gtFine"
    folder.mkdir()
    with open(folder / "large.png", "wb") as file:
        file.truncate(1 << 40)
    for name, message in (("large.png", "1099511627776"), ("none.png", "No such file")):
        with pytest.raises(DataError, match=message):
            packages.read(folder, f"gtFine/{name}")


def test_the_content_digest_does_not_depend_on_the_packing(tmp_path: Path, place: Path) -> None:
    stored = tmp_path / "stored.zip"
    with zipfile.ZipFile(stored, "w") as archive:
        archive.writestr(MEMBER, PICTURE)
    with zipfile.ZipFile(place) as archive:
        archive.extractall(tmp_path)
    assert len({packages.content_digest(p, [MEMBER]) for p in (place, stored, tmp_path / "gtFine")}) == 1


def resized(width: int, height: int) -> bytes:
    """The picture with another size in its header."""
    chunk = b"IHDR" + struct.pack(">II", width, height) + PICTURE[24:29]
    return PICTURE[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + PICTURE[33:]


PICTURES = {
    "40 gigapixels": (resized(200_000, 200_000), "at most 33554432 pixels"),
    "100 megapixels": (resized(10_000, 10_000), "its header states 10000 x 10000"),
    "an absurd size": (resized(2**31, 2**31), "p"),
    "cut off": (PICTURE[:50], "expected a whole PNG picture"),
    "empty": (b"", "expected a whole PNG picture"),
    "another format": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "expected a whole PNG picture"),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_that_are_none(kind: str) -> None:
    content, message = PICTURES[kind]
    with pytest.raises(DataError, match=f"^here: .*{message}") as error:
        read_picture(content, "here")
    assert "\n" not in str(error.value)


def test_pictures_up_to_the_limit_are_read() -> None:
    np.testing.assert_array_equal(read_picture(PICTURE, "here"), np.arange(64).reshape(8, 8))
    half = png(np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8))[:2000]
    with pytest.raises(DataError, match="whole PNG picture"):
        read_picture(half, "here")
    with pytest.raises(DataError, match="whole PNG picture"):  # by its bytes, not by its size
        read_picture(resized(MOST_PIXELS >> 10, 1 << 10), "here")


SPLITS = {
    "fractions": (np.array([1.7, 2.0]), "expected whole numbers, found 1.7"),
    "infinite": (np.array([1.0, np.inf]), "found inf"),
    "NaN": (np.array([1.0, np.nan]), "found nan"),
    "huge": (np.array([2**64 - 1], np.uint64), "expected whole numbers, found 1.84467e"),
    "a matrix": (np.array([[1, 2], [3, 4]]), r"expected a row or a column of numbers, found the shape \(2, 2\)"),
    "text": ("1 2", "expected whole numbers, found text"),
    "a cell array": (np.array([1, "a"], object), "found a cell array"),
    "a structure": ({"a": 1}, "found a structure"),
    "complex": (np.array([1j]), "found complex numbers"),
    "twice": (np.array([2, 1, 2, 2]), r"found image 2 3 times in the train split \(1 images are repeated\)"),
    "of the test split": (np.array([1, 4]), "image 4 is in the training and the test split"),
}


@pytest.mark.parametrize("kind", SPLITS)
def test_splits_that_are_none(tmp_path: Path, kind: str) -> None:
    value, message = SPLITS[kind]
    scipy.io.savemat(tmp_path / "splits.mat", {"trainNdxs": value, "testNdxs": np.array([[4], [5]])})
    with pytest.raises(DataError, match=message) as error:
        read_splits(tmp_path / "splits.mat", 6)
    assert str(error.value).startswith(str(tmp_path / "splits.mat"))


def test_a_matlab_file_that_is_too_large(tmp_path: Path) -> None:
    with open(tmp_path / "splits.mat", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DataError, match="at most 262144 bytes, found 1099511627776"):
        read_matlab(tmp_path / "splits.mat", ["trainNdxs"])


# From here on: kinds that nobody thought of. A few in `make test`, many in `make test-slow`.
quick = settings(derandomize=True, max_examples=20, deadline=None, database=None,
                 suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
Load = Callable[[Path, bytes], object]


@dataclass(frozen=True)
class Change:
    """Bytes flipped, cut off, taken out or put in: (how, where, bytes), one after the other."""

    steps: list[tuple[str, int, bytes]]

    def __call__(self, content: bytes) -> bytes:
        for how, at, value in self.steps:
            at %= len(content) + 1
            tail = {"flip": at + len(value), "cut": len(content), "drop": at + len(value), "add": at}[how]
            content = content[:at] + (value if how in ("flip", "add") else b"") + content[tail:]
        return content


STEPS = st.tuples(
    st.sampled_from(["flip", "cut", "drop", "add"]), st.integers(0, 10_000), st.binary(min_size=1, max_size=6)
)
CHANGES = st.builds(Change, st.lists(STEPS, min_size=1, max_size=4))


def load_array(path: Path, content: bytes) -> object:
    path.write_bytes(content)
    return read_array(path, 1000)


def load_package(path: Path, content: bytes) -> object:
    path.write_bytes(content)
    packages._opened.cache_clear()
    with contextlib.closing(packages._archive(path)):
        return [packages.read(path, name) for name in packages.names(path)]


def load_splits(path: Path, content: bytes) -> object:
    path.write_bytes(content)
    return read_splits(path, 6)


def load_picture(path: Path, content: bytes) -> object:
    return read_picture(content, "here")


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MEMBER, PICTURE)
        archive.writestr("gtFine/README", b"text", zipfile.ZIP_STORED)
    return file.getvalue()


def matlab(packed: bool) -> bytes:
    file = io.BytesIO()
    content = {"trainNdxs": np.array([[1], [2]]), "testNdxs": np.array([[4], [5]])}
    scipy.io.savemat(file, content, do_compression=packed)
    return file.getvalue()


FORMS: dict[str, tuple[bytes, Load]] = {
    "npy": (saved(ARRAY), load_array),
    "zip": (zipped(), load_package),
    "png": (PICTURE, load_picture),
    "mat": (matlab(False), load_splits),
    "packed mat": (matlab(True), load_splits),
}


def expect_data_error(form: str, folder: Path, change: Change) -> None:
    content, load = FORMS[form]
    try:
        load(folder / "file", change(content))
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("form", FORMS)
@quick
@given(change=CHANGES)
def test_changed_bytes_are_read_or_refused(tmp_path: Path, form: str, change: Change) -> None:
    expect_data_error(form, tmp_path, change)


def test_a_reader_that_crashes_ends_only_its_own_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "splits.mat").write_bytes(matlab(False))
    monkeypatch.setattr(scipy.io, "loadmat", lambda *args, **options: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(DataError, match=r"splits.mat: expected a MATLAB v5 file.*the process that read it crashed"):
        read_splits(tmp_path / "splits.mat", 6)


def expect_data_errors(form: str, folder: Path, many: list[Change]) -> None:
    for change in many:
        expect_data_error(form, folder, change)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@settings(quick, max_examples=40)
@given(many=st.lists(CHANGES, min_size=25, max_size=25))
def test_many_changed_bytes_are_read_or_refused(tmp_path: Path, form: str, many: list[Change]) -> None:
    """1000 changes; 25 at a time are read in one process, and where that crashed again, each in one of its own."""
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(ChildProcessError):
        patch.setattr(matlab_files, "run_apart", lambda job: job())
        run_apart(functools.partial(expect_data_errors, form, tmp_path, many))
        return
    expect_data_errors(form, tmp_path, many)


HEADERS = st.fixed_dictionaries(
    {
        "descr": st.sampled_from(
            ["<f8", "|O", "<U3", "<c16", "?", "<M8[s]", "|V0", "<f2", 3, None, [("a", "<f8")], "|S0"]
        ),
        "fortran_order": st.sampled_from([False, True, 0, None]),
        "shape": st.one_of(st.lists(st.integers(-2, 2**70), max_size=4).map(tuple), st.just(3), st.just("x")),
    },
    optional={"more": st.just(1)},
)


@quick
@given(header=HEADERS, data=st.binary(max_size=64))
def test_any_npy_header_is_read_or_refused(tmp_path: Path, header: dict, data: bytes) -> None:
    try:
        assert load_array(tmp_path / "file", npy(repr(header), data)).size <= 1000  # type: ignore[attr-defined]
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017


VALUES = st.one_of(
    st.lists(st.floats(width=64), max_size=5).map(np.array), st.text(max_size=4), st.booleans(),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5).map(lambda v: np.array(v, np.int64)),
    st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=2), max_size=3).map(np.array),
    st.lists(st.text(max_size=2), min_size=1, max_size=3).map(lambda v: np.array(v, object)),
    st.just({"a": 1}), st.complex_numbers(allow_nan=False),
)  # fmt: skip


@quick
@given(value=VALUES)
def test_any_value_is_whole_numbers_or_refused(value: object) -> None:
    file = io.BytesIO()
    scipy.io.savemat(file, {"x": value})
    try:
        assert whole_numbers(scipy.io.loadmat(file)["x"], "here").dtype == np.int64
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017
