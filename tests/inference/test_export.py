"""Exported networks give what the network gives, for every model, whatever the batch."""

import json
import re
import resource
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image

import mtlbench
from mtlbench.inference import exported
from mtlbench.inference.card import card
from mtlbench.inference.export import export
from mtlbench.inference.exported import onnx_program, program
from mtlbench.models import Model
from mtlbench.plan.registry import entries
from mtlbench.system.errors import DataError, ParamsError

from .conftest import CELL

TASKS = {"segmentation": 5, "depth": 1, "normals": 3}
#: Options that make an instance small, beside the smallest ``depth``; a model uses those that it has.
SMALL = {"width": 1 / 16, "backbone": "hrnet18s"}
#: Every model that there is; where it takes several backbones, also on a ResNet.
CASES = [
    pytest.param(name, more, id="-".join([name, *more.values()]))
    for name, found in entries("models").items()
    for more in ({}, {"backbone": "resnet18"})
    if more.keys() <= found.options.model_fields.keys()
]
PICTURE = np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)

# PyTorch's own, of what it looks at while it exports.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


def small(name: str, more: dict[str, str]) -> Model:
    found = entries("models")[name]
    fields = found.options.model_fields
    options = {option: value for option, value in (SMALL | more).items() if option in fields}
    if "depth" in fields and (depths := get_args(fields["depth"].annotation)):
        options["depth"] = min(depths)
    single = found.constants.get("single_task", False)
    model = found.load()(dict(list(TASKS.items())[: 1 if single else 3]), **options).eval()
    for part in model.modules():  # as after training: moments that are not 0 and 1
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2)
    return model


@pytest.mark.slow
@pytest.mark.parametrize(("name", "more"), CASES)
def test_exported_it_gives_the_same_for_any_number_of_images(name: str, more: dict[str, str], tmp_path) -> None:
    """Torch's form exactly; onnxruntime to 1e-4 of a map's largest value: other kernels and order of sums, float32."""
    model = small(name, more)
    graph = program(model, (32, 64))
    run = graph.module()
    expected = {}
    for count in (1, 3):
        image = torch.rand(count, 3, 32, 64)
        with torch.no_grad():
            expected[image], found = model(image), run(image)
        assert list(found) == list(expected[image])
        assert all(torch.equal(found[task], map_) for task, map_ in expected[image].items())
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    path = tmp_path / "network.onnx"
    onnx_program(graph, model.tasks).save(path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for image, maps in expected.items():
        for task, found in zip(maps, session.run(list(maps), {"image": image.numpy()}), strict=True):
            assert np.abs(found - maps[task].numpy()).max() <= 1e-4 * maps[task].abs().max(), task


def test_an_exported_cell_predicts_the_same_and_has_its_card(trained, tmp_path, monkeypatch) -> None:
    said: list[str] = []
    path = export(CELL, "torch", tmp_path / "new" / "network.pt2", said.append)
    network, again = mtlbench.load(CELL, "cpu"), mtlbench.load(path, "cpu")
    assert again.description == network.description
    expected, found = network.predict(PICTURE), again.predict(PICTURE)
    assert (found["segmentation"] == expected["segmentation"]).mean() > 0.99  # memory order changes the order of sums
    np.testing.assert_allclose(found["depth"], expected["depth"], atol=5e-3)
    text = (tmp_path / "new" / "network.md").read_text()
    assert said == [f"{path} ({path.stat().st_size / 1e6:.1f} MB), {tmp_path}/new/network.md"]
    reported = json.loads((trained.folder / "metrics.json").read_text())["reported"]
    row = re.search(r"\| segmentation \| mIoU \[%\] ↑ \| ([\d.]+) \| (-?[\d.]+) to ([\d.]+) \| [\d.]+ \|", text)
    assert row is not None, text
    assert row[1] == f"{100 * reported['segmentation']['miou']:.2f}"
    assert float(row[2]) < float(row[1]) < float(row[3])
    assert f"mtlbench export {CELL} --to torch" in text
    assert "6 training images, 3 test images" in text
    assert " parameters, " in text
    assert "- channels of `segmentation` (the largest is the class): 0 bed, 1 books, " in text
    assert "mean over the last 2 epochs, on the test images" in text
    spec = network.description.spec
    once = spec | {"protocol": spec["protocol"] | {"last_epochs": 1}}
    short = card(network.description.model_copy(update={"spec": once}), None, "command")
    assert "after the last epoch, on the test images" in short
    assert "Tasks weighted by dwa `{" in short
    alone = card(network.description.model_copy(update={"spec": once | {"tasks": ["depth"]}}), None, "command")
    assert "## Training\n\n3 epochs of batches of 2, adam" in alone
    assert trained.key in text
    _refused(path, monkeypatch)


def _refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export that cannot be written, here as on a full disk, leaves the earlier file."""
    before, graph = path.read_bytes(), torch.export.load(path)
    monkeypatch.setattr(exported, "program", lambda *_: graph)  # which takes seconds
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            export(CELL, "torch", path, print)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert sorted(one.name for one in path.parent.iterdir()) == ["network.md", "network.pt2"]


def test_onnx_of_a_cell(onnx_file, trained, repository) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    assert onnxruntime.InferenceSession(str(onnx_file)).get_inputs()[0].shape == ["batch", 3, 32, 32]
    found, expected = (mtlbench.load(source, "cpu").predict(PICTURE) for source in (onnx_file, CELL))
    assert (found["segmentation"] == expected["segmentation"]).mean() > 0.99
    np.testing.assert_allclose(found["depth"], expected["depth"], atol=5e-3)
    programs = re.findall(r"```python\n(.*?)```", (repository / "docs/library.md").read_text(encoding="utf-8"), re.S)
    (program,) = (one for one in programs if "onnxruntime" in one)
    Image.fromarray(PICTURE[:32, :32]).save("photo.png")
    made: dict[str, np.ndarray] = {}
    exec(re.sub(r'"[^"]+\.onnx"', repr(str(onnx_file)), program).replace("photo.jpg", "photo.png"), made)
    expected = mtlbench.load(CELL, "cpu").predict(PICTURE[:32, :32])["segmentation"]
    assert (made["classes"][0] == expected).mean() > 0.99


def test_a_card_without_the_statistics_has_no_intervals(trained, tmp_path) -> None:
    (trained.folder / "per_image.npz").write_bytes(b"other")
    export(CELL, "torch", tmp_path / "network.pt2", print)
    text = (tmp_path / "network.md").read_text()
    assert "| task | metric | this network | constant prediction |" in text
    assert "Intervals" not in text


def test_what_cannot_be_exported_or_read_is_named(trained, tmp_path, monkeypatch) -> None:
    with pytest.raises(ParamsError, match=r"--to: unknown format 'onxx'. Did you mean 'onnx'"):
        export(CELL, "onxx", None, print)
    with pytest.raises(ParamsError, match=r"--out: expected a file name that ends with \.pt2, found 'a\.onnx'"):
        export(CELL, "torch", tmp_path.relative_to(tmp_path) / "a.onnx", print)
    (tmp_path / "network.onnx").write_bytes(b"")
    with pytest.raises(ParamsError, match=r"network\.onnx: .*found a network that is exported already"):
        export(str(tmp_path / "network.onnx"), "torch", None, print)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ParamsError, match=r"'onnx' is not installed; `pip install onnx onnxscript`"):
        export(CELL, "onnx", None, print)
    for name, message in {"a.pt2": "expected an exported network", "a.onnx": "'onnxruntime' is not installed"}.items():
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises((DataError, ParamsError), match=message):
            mtlbench.load(tmp_path / name, "cpu")
