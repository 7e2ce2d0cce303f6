"""NYU Depth V2's labelled file with fields that are no such fields: a DataError that names file and field."""

import functools
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtlbench.datasets import _nyuv2_file as nyu
from mtlbench.datasets.nyuv2 import NYUv2
from mtlbench.datasets.prepared.prepare import prepare
from mtlbench.system.errors import DataError

COUNT = 3
Alter = Callable[[h5py.File], object]


def texts(file: h5py.File, name: str, words: list[str]) -> None:
    """A cell array of texts in the place of a field."""
    file.pop(name, None)
    cells = file.create_dataset(name, (1, len(words)), h5py.ref_dtype)
    for number, word in enumerate(words):
        codes = np.array([[ord(c)] for c in word], "<u2")
        cells[0, number] = file.create_dataset(f"#refs#/{name}{len(file['#refs#'])}", data=codes).ref


@functools.cache
def template() -> bytes:
    """A whole file of black images; what is not written takes no space."""
    with h5py.File("template", "w", driver="core", backing_store=False, userblock_size=512) as file:
        file.create_group("#refs#")
        for name, (shape, dtype) in nyu.FIELDS.items():
            file.create_dataset(name, (COUNT, *shape), dtype, chunks=(1, *shape))
        texts(file, "names", [row["name"] for row in nyu.class_table()])
        texts(file, "scenes", ["den_0001", "den_0001", "hall_0001"])
        file.flush()
        return file.id.get_file_image()


def whole(path: Path, alter: Alter) -> object:
    """Everything that is read of the file before and while it is prepared, after an alteration."""
    nyu.open_labeled.cache_clear()
    path.write_bytes(template())
    with h5py.File(path, "r+") as file:
        alter(file)
    try:
        count = nyu.check_labeled(path, ["images", "depths", "labels"])
        return nyu.scene_numbers(path, count), [nyu.read(path, name, count - 1) for name in ("images", "labels")]
    finally:
        nyu.open_labeled.cache_clear()


def put(name: str, value: object) -> Alter:
    def alter(file: h5py.File) -> None:
        file.pop(name, None)
        file[name] = value

    return alter


def group(name: str) -> Alter:
    def alter(file: h5py.File) -> None:
        file.pop(name, None)
        file.create_group(name)

    return alter


def virtual(file: h5py.File) -> None:
    shape, dtype = nyu.FIELDS["labels"]
    layout = h5py.VirtualLayout((COUNT, *shape), dtype)
    layout[:] = h5py.VirtualSource("elsewhere.h5", "labels", (COUNT, *shape))
    del file["labels"]
    file.create_virtual_dataset("labels", layout)


def outside(file: h5py.File) -> None:
    shape, dtype = nyu.FIELDS["labels"]
    del file["labels"]
    file.create_dataset("labels", (COUNT, *shape), dtype, external=[("elsewhere.bin", 0, h5py.h5f.UNLIMITED)])


def large_blocks(file: h5py.File) -> None:
    shape, dtype = nyu.FIELDS["labels"]
    del file["labels"]
    file.create_dataset("labels", (4000, *shape), dtype, chunks=(1000, *shape), compression=1)


def null_references(file: h5py.File) -> None:
    del file["scenes"]
    file.create_dataset("scenes", (1, COUNT), h5py.ref_dtype)


def references_to_images(file: h5py.File) -> None:
    for number in range(COUNT):
        file["scenes"][0, number] = file["images"].ref


def references_to_a_group(file: h5py.File) -> None:
    for number in range(COUNT):
        file["scenes"][0, number] = file["#refs#"].ref


def no_images(file: h5py.File) -> None:
    for name, (shape, dtype) in nyu.FIELDS.items():
        del file[name]
        file.create_dataset(name, (0, *shape), dtype)


KINDS: dict[str, tuple[Alter, str]] = {
    "a group": (group("labels"), "expected labels to be an array, found a group"),
    "a soft link": (put("labels", h5py.SoftLink("/depths")), "expected labels to be an array, found a soft link"),
    "a broken link": (put("scenes", h5py.SoftLink("/nothing")), "expected scenes to be an array, found a soft link"),
    "another file": (put("labels", h5py.ExternalLink("other.h5", "/x")), "labels .* found a link to another file"),
    "a virtual array": (virtual, "expected the values of labels in this file, they lie in another one"),
    "another file's bytes": (outside, "expected the values of labels in this file"),
    "an empty value": (put("labels", h5py.Empty("u2")), "expected labels to be an array, found an empty value"),
    "one number": (put("labels", np.uint16(3)), "expected labels as uint16"),
    "texts": (put("labels", "text"), "expected labels as uint16"),
    "large blocks": (large_blocks, "labels has blocks of 614400000 bytes"),
    "no images": (no_images, "expected 1 to 1000000 images, found 0"),
    "scenes as a group": (group("scenes"), "expected scenes to be an array, found a group"),
    "scenes as numbers": (
        put("scenes", np.arange(3)),
        r"scenes as a cell array of 3 texts, found int64 \(3,\)",
    ),
    "too few scenes": (lambda file: texts(file, "scenes", ["den", "hall"]), "cell array of 3 texts, found .* .1, 2."),
    "too many scenes": (lambda file: texts(file, "scenes", ["den"] * 4), "cell array of 3 texts, found .* .1, 4."),
    "scenes that name nothing": (null_references, "scenes: expected 3 texts, found other objects"),
    "scenes that are images": (references_to_images, "scenes: expected 3 texts, found other objects"),
    "scenes that are groups": (references_to_a_group, "scenes: expected 3 texts, found other objects"),
    "names as numbers": (put("names", np.arange(894.0)), "expected names as a cell array of 894 texts"),
    "too few names": (lambda file: texts(file, "names", ["book"]), "expected names as a cell array of 894 texts"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_fields_that_are_none(tmp_path: Path, kind: str) -> None:
    alter, message = KINDS[kind]
    with pytest.raises(DataError, match=message) as error:
        whole(tmp_path / "file.mat", alter)
    assert str(error.value).startswith(f"{tmp_path / 'file.mat'}: ")
    assert "\n" not in str(error.value)


def test_the_unaltered_file_is_read(tmp_path: Path) -> None:
    scenes, rows = whole(tmp_path / "file.mat", lambda file: None)  # type: ignore[misc]
    assert scenes.tolist() == [0, 0, 1]
    assert [row.shape for row in rows] == [(480, 640, 3), (480, 640)]


MAPPINGS = {
    nyu.MAP40: ({"mapClass": np.array([1.5])}, "mapClass: expected whole numbers, found 1.5"),
    nyu.MAP13: ({"classMapping13": np.array([1])}, "expected a structure classMapping13 with labels13"),
}


@pytest.mark.parametrize("name", MAPPINGS)
def test_class_mappings_that_are_none(tmp_path: Path, name: str) -> None:
    content, message = MAPPINGS[name]
    scipy.io.savemat(tmp_path / name, content)
    with pytest.raises(DataError, match=message):
        nyu.check_mapping_files(tmp_path)
    scipy.io.savemat(tmp_path / name, {"other": 1})
    with pytest.raises(DataError, match=f"expected {next(iter(content))}, found no"):
        nyu.check_mapping_files(tmp_path)
    (tmp_path / name).write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(DataError, match="expected a MATLAB v5 file"):
        nyu.check_mapping_files(tmp_path)


def test_what_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    scipy.io.savemat(raw / nyu.SPLITS, {"trainNdxs": [1], "testNdxs": [2]})
    data = NYUv2(height=96, width=128, checksums="none")
    for alter in (group("labels"), null_references):
        (raw / nyu.LABELED).write_bytes(template())
        with h5py.File(raw / nyu.LABELED, "r+") as file:
            alter(file)
        nyu.open_labeled.cache_clear()
        with pytest.raises(DataError):
            prepare("nyuv2", data, raw, tmp_path / "data" / "out", {}, progress=lambda done, total: None)
        assert not list((tmp_path / "data").iterdir())


def text_values() -> st.SearchStrategy[Alter]:
    words = st.lists(st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), min_size=1), max_size=4)
    return words.map(lambda found: lambda file: texts(file, "scenes", found) if found else group("scenes")(file))


ARRAYS = st.builds(
    np.zeros,
    st.lists(st.integers(0, 4), max_size=4).map(tuple),
    st.sampled_from(["u1", "u2", "f4", "f8", "i8", "S3", "?", "c8", [("a", "u1")], ">u2"]),
)
ALTERATIONS = st.one_of(
    text_values(),
    st.builds(
        put,
        st.sampled_from(["images", "depths", "labels", "scenes", "names", "#refs#"]),
        st.one_of(ARRAYS, st.just(h5py.SoftLink("/labels")), st.just(h5py.ExternalLink(".", "/x")),
                  st.just(h5py.Empty("f4")), st.just(h5py.Empty("S1")), st.text("ab", max_size=3)),
    ),
    st.builds(group, st.sampled_from(["images", "depths", "labels", "scenes", "names"])),
)  # fmt: skip


quick = settings(derandomize=True, max_examples=12, deadline=None, database=None,
                 suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip


def expect_data_error(path: Path, alter: Alter) -> None:
    try:
        whole(path, alter)
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017


@quick
@given(alter=ALTERATIONS)
def test_any_altered_field_is_read_or_refused(tmp_path: Path, alter: Alter) -> None:
    expect_data_error(tmp_path / "file.mat", alter)


@pytest.mark.slow
@settings(quick, max_examples=500)
@given(alter=ALTERATIONS)
def test_many_altered_fields_are_read_or_refused(tmp_path: Path, alter: Alter) -> None:
    expect_data_error(tmp_path / "file.mat", alter)
