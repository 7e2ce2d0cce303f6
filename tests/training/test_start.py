"""Networks whose towers start as trained single-task networks of the same grid."""

import pytest
import safetensors.torch
import torch

from mtlbench import pipeline
from mtlbench.plan import grid, places
from mtlbench.plan.params import load
from mtlbench.plan.registry import entries, entry
from mtlbench.runs.manifest import Manifest, write
from mtlbench.system.errors import DamagedError, DataError, ParamsError
from mtlbench.training.build import make_trainer
from mtlbench.training.cell import run_cell
from mtlbench.training.start import place

from .conftest import contents, forget

STARTED = "tiny/segnet_cross_stitch/equal/seed0"
TASKS = {"segmentation": 5, "depth": 1, "normals": 3}
ABLE = [name for name, found in entries("models").items() if found.constants.get("towers")]


@pytest.fixture
def started(project, edit) -> grid.Cell:
    """A cross-stitched network that starts from the tiny experiment's single-task networks."""
    edit("segnet_split: {width: 0.0625}", "segnet_cross_stitch: {width: 0.0625, start_from: segnet_single}")
    edit("epochs: 3", "epochs: 2")
    pipeline.prepare(load(), "rooms")
    return grid.cell(load(), STARTED)


def singles() -> list[grid.Cell]:
    return [cell for cell in grid.cells(load(), "tiny") if cell.model == "segnet_single"]


def train_singles() -> None:
    for cell in singles():
        run_cell(cell, load().runtime)


def small(name: str, tasks: dict[str, int]):
    known = entries("models")[name].options.model_fields
    return entry("models", name).load()(tasks, **({"width": 1 / 16} if "width" in known else {"depth": 18}))


def randomised(model):
    """Moments of BatchNorm as after training, not 0 and 1."""
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2)
    return model


@pytest.mark.parametrize("name", ABLE)
def test_towers_that_are_not_mixed_are_the_single_task_networks(name: str) -> None:
    """With units that pass each task's own last features on, the network gives what the single-task networks give."""
    model = small(name, TASKS).eval()
    single = entries("models")[name].constants["towers_of"]
    image = torch.rand(2, 3, 32, 32)
    expected = {}
    for task, channels in TASKS.items():
        alone = randomised(small(single, {task: channels})).eval()
        place(model, task, alone.state_dict(), "here")
        expected |= alone(image)
    with torch.no_grad():
        for unit in model.modules():
            if type(unit).__name__ == "CrossStitch":
                for target, weights in unit.by_source.items():
                    weights.copy_(torch.tensor([[float(source == target)] for source in unit.tasks]).expand_as(weights))
            if type(unit).__name__ == "NDDR":  # its ReLU changes nothing: a layer's features are not negative
                for target, weights in unit.by_source.items():
                    own = torch.tensor([float(source == target) for source in unit.tasks])
                    weights.copy_(torch.eye(len(weights))[:, None, :] * own[:, None])
                    unit.norm[target].eps = 0.0
            if type(unit).__name__ == "Shortcut":  # of its layers it passes on the last, as it is
                unit.project.weight.zero_()
                last = len(unit.project.weight)
                unit.project.weight[:, -last:, 0, 0] = torch.eye(last)
                unit.norm.eps = 0.0
        found = model(image)
    for task in TASKS:
        torch.testing.assert_close(found[task], expected[task], rtol=1e-4, atol=1e-5)


def test_another_network_is_refused() -> None:
    model = small("segnet_cross_stitch", TASKS)
    wide = entry("models", "segnet_single").load()({"depth": 1}, width=1 / 8)
    with pytest.raises(
        ParamsError, match=r"in FILE the network of one tower of SegNetCrossStitch; .* of another shape"
    ):
        place(model, "depth", wide.state_dict(), "FILE")
    part = {name: value for name, value in wide.state_dict().items() if name.startswith("head.")}
    with pytest.raises(ParamsError, match="missing, unknown or of another shape"):
        place(model, "depth", part, "FILE")


def test_the_key_holds_the_keys_of_the_single_task_cells(started, edit) -> None:
    assert started.spec["start"] == {cell.tasks[0]: cell.key for cell in singles()}
    assert set(started.starts.values()) == {cell.manifest for cell in singles()}
    assert [[cell.model for cell in group] for group in grid.stages(load(), "tiny")] == [
        ["segnet_single"] * 3, ["segnet_cross_stitch"] * 2,
    ]  # fmt: skip
    edit("start_from: segnet_single", "unit: channel")
    other = grid.cell(load(), STARTED)
    assert other.key != started.key
    assert "start" not in other.spec
    assert other.starts == {}


def test_frozen_weights_start_from_the_same_networks(started, edit) -> None:
    edit("dwa: {temperature: 2.0}", "dwa: {temperature: 2.0}\n      mean: {of: dwa}")
    groups = grid.stages(load(), "tiny")
    assert [{cell.weighting for cell in group} for group in groups[1:]] == [{"equal", "dwa"}, {"mean"}]
    assert groups[2][0].spec["start"] == started.spec["start"]
    assert groups[2][0].starts == started.starts


def test_without_the_single_task_results_nothing_is_trained(started) -> None:
    with pytest.raises(
        DataError, match=r"starts from the network of .*only_segmentation.*mtlbench train tiny/segnet_s"
    ):
        run_cell(started, load().runtime)


def test_it_starts_from_what_the_single_task_cells_learned(started, tmp_path) -> None:
    train_singles()
    trainer, facts = make_trainer(started, load().runtime, tmp_path / "run")
    fresh = small("segnet_cross_stitch", TASKS)
    for task, path in started.starts.items():
        file = places.weights(f"tiny/segnet_single/only_{task}/seed0") / "model.safetensors"
        assert facts["started_from"][task] == Manifest.read(path).outputs["model.safetensors"].sha256
        for name, value in safetensors.torch.load_file(file).items():
            own = f"heads.{task}{name[4:]}" if name.startswith("head.") else (
                name.replace("backbone.encoder.", f"encoders.{task}.").replace("backbone.decoder.", f"decoders.{task}.")
            )  # fmt: skip
            assert torch.equal(trainer.model.state_dict()[own], value), own
    units = {name: value for name, value in trainer.model.state_dict().items() if "_units." in name}
    assert all(torch.equal(value, fresh.state_dict()[name]) for name, value in units.items())


def test_a_stopped_run_continues_to_the_same_bytes(started, stop) -> None:
    train_singles()
    run_cell(started, load().runtime)
    assert set(Manifest.read(started.manifest).facts["started_from"]) == set(started.tasks)
    expected = contents(started)
    forget(started)
    train_singles()  # the store went too
    stop(started)
    run_cell(started, load().runtime)
    assert contents(started) == expected


def test_changed_or_lost_weights_are_not_started_from(started) -> None:
    train_singles()
    file = places.weights("tiny/segnet_single/only_depth/seed0") / "model.safetensors"
    whole = file.read_bytes()
    file.unlink()
    with pytest.raises(DataError, match=r"starts from the network .*model\.safetensors, which is not there"):
        run_cell(started, load().runtime)
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(DamagedError):
        run_cell(started, load().runtime)


def test_a_diverged_single_task_network_leaves_nothing_to_start_from(started) -> None:
    train_singles()
    cell = singles()[1]
    good = Manifest.read(cell.manifest)
    facts = {**good.facts, "status": "diverged", "reason": "NaN at epoch 1"}
    write(cell.folder, cell.spec, {"history.csv": cell.folder / "history.csv"}, facts, good.provenance)
    assert run_cell(started, load().runtime, record_divergence=True) == "diverged"
    found = Manifest.read(started.manifest)
    assert "only_depth" in found.reason
    assert "NaN at epoch 1" in found.reason
    assert "parameters" not in found.facts  # those of the single-task network are not its own
    assert found.facts["dataset"] == good.facts["dataset"]


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("segnet_cross_stitch: {width: 0.0625, start_from: segnet_singel}", "found 'segnet_singel'. Did you mean"),
        ("segnet_cross_stitch: {width: 0.0625, start_from: segnet_cross_stitch}", "label of a 'segnet_single' among"),
        ("segnet_cross_stitch: {width: 0.0625, start_from: 3}", "found 3"),
        ("segnet_cross_stitch: {width: 0.0625, start_from: null}", "found None"),
        ("segnet_cross_stitch: {width: 0.125, start_from: segnet_single}", "has width 0.0625, .* has 0.125"),
        (
            "resnet_nddr: {depth: 18, start_from: segnet_single}",
            "label of a 'resnet_single' among .* There is none: add it",
        ),
        ("segnet_split: {width: 0.0625, start_from: segnet_single}", "has no towers"),
        (
            "cross_stitch_vgg: {start_from: single_vgg, batch_norm: statistics}",
            "expected batch_norm: shared, as in single-task networks",
        ),
    ],
)
def test_a_start_without_sense_is_refused_at_planning(project, edit, block: str, words: str) -> None:
    edit("segnet_split: {width: 0.0625}", block)
    with pytest.raises(ParamsError, match=rf"models\.{block.split(':')[0]}\.start_from: .*{words}"):
        load()


def test_a_start_beside_a_search_is_refused(search) -> None:
    search("segnet_split: {width: 0.0625}", "segnet_cross_stitch: {width: 0.0625, start_from: segnet_single}")
    with pytest.raises(ParamsError, match=r"segnet_cross_stitch\.start_from: expected no start_from beside 'search'"):
        load()
