import json
from pathlib import Path

import pytest

from mtlbench.runs.manifest import CHANGED, MISSING, Manifest, Output, find, write
from mtlbench.system.errors import DamagedError

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Of one file and with one fact."""
    (tmp_path / "out.txt").write_text("abc")
    facts = {"status": "diverged", "reason": "NaN"}
    return Manifest.read(write(tmp_path, {"a": 1}, {"out.txt": tmp_path / "out.txt"}, facts, {"commit": "c0ffee"}))


def test_what_is_written_is_read_and_found(manifest: Manifest, tmp_path: Path) -> None:
    assert manifest.path.name == "manifest.015abd7f5cc57a2d.json"
    assert find(tmp_path) == manifest.path
    assert (manifest.key, manifest.spec) == ("015abd7f5cc57a2d", {"a": 1})
    assert manifest.outputs == {"out.txt": Output(ABC, 3)}
    assert (manifest.status, manifest.reason, manifest.provenance) == ("diverged", "NaN", {"commit": "c0ffee"})


def test_a_changed_and_a_missing_output_are_told_apart(manifest: Manifest, tmp_path: Path) -> None:
    assert manifest.problems() == {}
    (tmp_path / "out.txt").write_text("abd")
    assert manifest.problems(quick=True) == {}
    assert manifest.problems() == {tmp_path / "out.txt": CHANGED}
    elsewhere = tmp_path / "elsewhere"
    assert manifest.problems(lambda name: elsewhere / name) == {elsewhere / "out.txt": MISSING}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "7", '"text"', "[" * 100_000, "{}", '{"key": "k", "spec": 1, "outputs": {}}',
     '{"key": "k", "spec": {}, "outputs": {"a": 1}}', '{"key": "k", "spec": {}, "outputs": {"a": {"sha256": "x"}}}',
     '{"key": "k", "spec": {}, "outputs": {"a": {"sha256": "x", "bytes": "many"}}}'],
)  # fmt: skip
def test_what_is_no_manifest_is_named_with_its_remedy(manifest: Manifest, text: str) -> None:
    manifest.path.write_text(text)
    with pytest.raises(DamagedError, match=r"json: damaged \(.*`dvc checkout`, or delete it"):
        Manifest.read(manifest.path)


@pytest.mark.parametrize("name", ["../stolen", "/etc/passwd", "", "..", "a/../../b"])
def test_a_name_that_leads_out_of_its_folder_is_refused(manifest: Manifest, name: str) -> None:
    record = json.loads(manifest.path.read_text())
    record["outputs"][name] = record["outputs"]["out.txt"]
    manifest.path.write_text(json.dumps(record))
    with pytest.raises(DamagedError, match="expected plain file names"):
        Manifest.read(manifest.path)


def test_a_missing_fact_is_named(manifest: Manifest) -> None:
    with pytest.raises(DamagedError, match="without data, dataset"):
        Manifest.read(manifest.path, ("status", "data", "dataset"))
