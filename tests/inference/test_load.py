"""``mtlbench.load``: the network of a cell, of a folder and of a file alone, as it was evaluated in training."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

import mtlbench
from mtlbench.inference.find import find
from mtlbench.plan import grid, places
from mtlbench.plan.params import load as load_params
from mtlbench.reproduce import reproduce
from mtlbench.runs.manifest import Manifest
from mtlbench.system.errors import DamagedError, DataError, ParamsError
from mtlbench.system.files import digest, read_json, write_json
from mtlbench.training.description import NAME, Description, describe
from mtlbench.verify import VerificationError, verify

from .conftest import CELL


def weights_of(cell: grid.Cell) -> Path:
    return cell.checkpoint_folder / "model.safetensors"


def without_description(cell: grid.Cell) -> None:
    """Make the cell one of a time when checkpoints said nothing of themselves."""
    path = weights_of(cell)
    content = safetensors.torch.save(safetensors.torch.load_file(path))
    path.unlink()
    path.write_bytes(content)
    manifest = read_json(cell.manifest)
    manifest["outputs"][path.name] = {"sha256": digest(path), "bytes": path.stat().st_size}
    write_json(cell.manifest, manifest)


def test_predicts_what_was_kept_as_samples_bit_for_bit(trained) -> None:
    """The images in their own size: the same forward pass as the evaluation in training."""
    network = mtlbench.load(CELL, "cpu")
    with np.load(trained.folder / "samples.npz") as samples:
        pictures = [np.moveaxis(image, 0, -1) for image in samples["image"]]
        for number, found in enumerate(network.predict_all(pictures, batch_size=len(pictures))):
            assert list(found) == ["segmentation", "depth", "normals"]
            for task, map_ in found.items():
                expected = samples[f"prediction_{task}"][number]
                assert map_.dtype == expected.dtype
                assert np.array_equal(map_, expected), task


def test_every_way_to_name_a_cell_finds_the_same_network(trained, tmp_path) -> None:
    alone = tmp_path / "carried away.safetensors"
    shutil.copyfile(weights_of(trained), alone)
    entry = places.store() / trained.key
    picture = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    sources = [CELL, f"{CELL}/", trained.folder, trained.checkpoint_folder, weights_of(trained), entry, str(alone)]
    found = [mtlbench.load(source, "cpu").predict(picture)["depth"] for source in sources]
    assert all(np.array_equal(one, found[0]) for one in found)


def test_from_another_working_directory(trained, tmp_path, monkeypatch) -> None:
    folder = trained.folder.resolve()
    monkeypatch.chdir(tmp_path)
    assert mtlbench.load(folder, "cpu").description.key == trained.key


def test_the_file_says_what_it_is(trained) -> None:
    with safetensors.safe_open(weights_of(trained), "pt") as file:
        metadata = file.metadata()
    assert list(metadata) == [NAME], "safetensors writes several names in an order that changes"
    said = json.loads(metadata[NAME])
    assert said["key"] == trained.key
    assert said["spec"]["model"] == {"kind": "segnet_split", "options": {"width": 0.0625}, "version": 1}
    assert said["size"] == [32, 32]
    assert said["tasks"]["segmentation"]["options"]["class_names"][0] == "bed"
    assert said["tasks"]["depth"] == {
        "channels": 1, "options": {}, "units": {"abs_error": "m", "rel_error": ""}
    }  # fmt: skip
    assert said["dataset"]["kind"] == "rooms"
    assert said["dataset"]["images"] == {"train": 6, "held_out": 0, "test": 3}
    assert said["metrics"] == read_json(trained.folder / "metrics.json")["reported"]
    assert "divided by 255" in said["image"]
    assert "MIT" in said["licence"]


def test_the_description_follows_from_the_key_alone(trained) -> None:
    """No time, no machine, no label: two experiments that share the cell write the same bytes."""
    manifest = Manifest.read(trained.manifest)
    reported = read_json(trained.folder / "metrics.json")["reported"]
    renamed = {**manifest.facts, "dataset": {**manifest.facts["dataset"], "name": "another label"}}
    expected = Description.in_checkpoint(weights_of(trained))
    assert describe(manifest.spec, renamed, reported).text() == expected.text()
    text = expected.text()
    for word in ("tiny", str(Path.cwd()), manifest.facts["device"], manifest.provenance["versions"]["torch"]):
        assert word not in text


def test_a_checkpoint_without_a_description_is_described_by_its_cell(trained, tmp_path) -> None:
    expected = Description.in_checkpoint(weights_of(trained))
    without_description(trained)
    assert Description.in_checkpoint(weights_of(trained)) is None
    weights, found, manifest = find(CELL)
    assert weights == trained.checkpoint_folder.resolve() / "model.safetensors"
    assert found == expected
    assert manifest is not None
    assert mtlbench.load(weights_of(trained).resolve(), "cpu").description == expected
    alone = tmp_path / "alone.safetensors"
    shutil.copyfile(weights_of(trained), alone)
    with pytest.raises(DataError, match=r"alone.safetensors: it does not say which network .* results/cells instead"):
        mtlbench.load(alone)


@pytest.mark.slow
def test_an_older_checkpoint_verifies_and_is_reproduced(trained) -> None:
    """Digests are compared with the manifest's, and a second training by its weights: no result becomes wrong."""
    without_description(trained)
    verify(load_params(), None, print, deep=1)
    said: list[str] = []
    reproduce(trained, load_params().runtime, said.append)
    other_words = "the weights' file describes itself in other words"
    assert said == [f"{CELL}: all 5 outputs are the same; {other_words}"]
    path = weights_of(trained)
    tensors = safetensors.torch.load_file(path)
    tensors["backbone.encoder.0.0.0.weight"].view(-1)[0] += 1e-3
    path.write_bytes(safetensors.torch.save(tensors))
    manifest = read_json(trained.manifest)
    manifest["outputs"][path.name] = {"sha256": digest(path), "bytes": path.stat().st_size}
    write_json(trained.manifest, manifest)
    with pytest.raises(VerificationError, match=r"model\.safetensors has other bytes than recorded"):
        reproduce(trained, load_params().runtime, print)


def test_what_cannot_be_loaded_is_named_in_one_line(trained, tmp_path) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(safetensors.torch.save({"x": torch.zeros(2)}, {NAME: "{}"}))
    swapped = tmp_path / "swapped.safetensors"
    text = Description.in_checkpoint(weights_of(trained)).text()
    swapped.write_bytes(safetensors.torch.save({"x": torch.zeros(2)}, {NAME: text}))
    unknown = tmp_path / "unknown.safetensors"
    unknown.write_bytes(safetensors.torch.save({}, {NAME: text.replace('"segnet_split"', '"my_net"')}))
    wrong = {
        "tiny/segnet_split/dwa/seed7": r"expected a cell's name .*seed0'\? \(1 cell is.*`mtlbench train tiny.*7` t",
        "tiny/segnet_split": r"expected a finished cell, found no network .*`mtlbench list cells` names those",
        "other": r"or a file with a network\. 1 cell is finished here\. `mtlbench list cells`",
        "params.yaml": r"params.yaml: expected the weights of a network as safetensors",
        str(other): r"other.safetensors: expected the description of a network of mtlbench, wrong at 'key'",
        str(swapped): r"swapped.safetensors: not the weights of the network that it describes \(.*encoder",
        str(unknown): r"unknown.safetensors: its network cannot be built here \(unknown model 'my_net'.*extension",
        ".": r"expected a finished cell, found no network",
    }
    for source, message in wrong.items():
        with pytest.raises(DataError, match=message) as caught:
            mtlbench.load(source, "cpu")
        assert "\n" not in str(caught.value)
    weights_of(trained).unlink()
    with pytest.raises(DataError, match=rf"{CELL}: its weights are absent .*`dvc pull`, or delete .*manifest"):
        mtlbench.load(CELL)
    with pytest.raises(ParamsError, match="device"):
        mtlbench.load(places.store() / trained.key, "cuda:99")


def test_other_weights_than_those_of_the_cell_are_refused(trained) -> None:
    """Loadable weights that describe themselves as the cell's, but were changed: their numbers are not the cell's."""
    path = weights_of(trained)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.unlink()  # not the store's
    path.write_bytes(content)
    for source in (CELL, trained.folder, path):
        with pytest.raises(DamagedError, match=r"model\.safetensors: damaged \(its content changed\); `dvc checkout`"):
            mtlbench.load(source, "cpu")
    mtlbench.load(places.store() / trained.key, "cpu")


def test_a_manifest_of_another_cell_in_the_folder_is_not_read(trained) -> None:
    other = read_json(trained.manifest)
    other["outputs"]["model.safetensors"]["sha256"] = "0" * 64
    write_json(trained.folder / "manifest.0.json", other)
    assert find(CELL).manifest.key == trained.key


def test_loading_leaves_random_numbers_alone(trained) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    mtlbench.load(CELL, "cpu")
    assert torch.equal(torch.rand(2), expected)
