import pytest

from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.plan.schema import text
from mtlbench.system.errors import ParamsError


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("epochs: 3", "epoch: 3", ["experiments.tiny.training.epoch: unknown key", "Did you mean 'epochs'?"]),
        ("epochs: 3", "epochs: three", ["experiments.tiny.training.epochs", "valid integer", "found 'three'"]),
        ("epochs: 3", "epochs: 0", ["epochs", "greater than or equal to 1", "found 0"]),
        ("learning_rate: 1.0e-3", "learning_rate: -1", ["learning_rate", "greater than 0", "found -1"]),
        ("batch_size: 2", "batch_size: 2.5", ["batch_size", "found 2.5"]),
        ("      batch_size: 2\n", "", ["training.batch_size: missing", "images in one step"]),
        ("segnet_split: {width", "segnet_splt: {width", ["models.segnet_splt: unknown model 'segnet_splt'",
                                                         "Did you mean 'segnet_split'?", "segnet_mtan"]),
        ("dwa: {temp", "dvva: {temp", ["unknown weighting 'dvva'", "uncertainty"]),
        ("dwa: {temperature", "dwa: {temperatur", ["weightings.dwa.temperatur: unknown key",
                                                   "Did you mean 'temperature'?"]),
        ("temperature: 2.0", "temperature: 0", ["weightings.dwa.temperature", "greater than 0"]),
        ("segnet_split: {width: 0.0625}", "segnet_split: {width: wide}", ["models.segnet_split.width", "found 'wide'"]),
        ("dwa: {temperature: 2.0}", "pcd: {primary: dept}", ["weightings.pcd.primary", "one of segmentation, depth"]),
        ("dataset: rooms", "dataset: room", ["experiments.tiny.dataset", "Did you mean 'rooms'?"]),
        ("{kind: rooms", "{kind: rums", ["datasets.rooms: unknown dataset 'rums'"]),
        ("run: [tiny]", "run: [tinny]", ["run: unknown experiment 'tinny'", "Did you mean 'tiny'?"]),
        ("tasks: [segmentation, depth, normals]", "tasks: [segmentation, dept]", ["tasks", "Did you mean 'depth'?"]),
        ("baseline: segnet_single", "baseline: single", ["baseline", "segnet_single"]),
        ("last_epochs: 2", "last_epochs: 9", ["last_epochs", "at most the 3 epochs", "found 9"]),
        ("last_epochs: 2", "share: 0.1", ["the protocol 'paper' needs 'last_epochs'"]),
        ("seeds: [0]", "seeds: [0, 0]", ["seeds", "different values"]),
        ("schedule: {name: constant}", "schedule: {name: step}", ["'every' and 'factor'"]),
        ("height: 32", "height: 40", ["segnet_single", "divisible by 32", "found 40x32"]),
        ("device: cpu", "device: cpu, device: cpu", ["not valid YAML", "duplicate key"]),
        ("run: [tiny]", "run: [tiny", ["not valid YAML"]),
    ],
)  # fmt: skip
def test_each_mistake_is_named_with_what_was_expected(project, edit, old: str, new: str, words: list[str]) -> None:
    edit(old, new)
    with pytest.raises(ParamsError) as caught:
        grid.cells(load(), "tiny")
    for word in words:
        assert word in str(caught.value)
    assert "params.yaml" in str(caught.value) or "tiny" in str(caught.value)


def test_a_missing_file_says_where_to_go(project) -> None:
    with pytest.raises(ParamsError, match="Run the command in the folder"):
        load("nothing.yaml")


def test_scientific_notation_is_a_number_as_dvc_reads_it(project, edit) -> None:
    edit("learning_rate: 1.0e-3", "learning_rate: 1e-3")
    assert load().experiments["tiny"].training.optimizer.learning_rate == 0.001


@pytest.mark.parametrize("label", ["Tiny", "1x", "a-b", "a/b", "../x"])
def test_labels_are_safe_path_parts(project, edit, label: str) -> None:
    edit("segnet_split: {width", f'"{label}": {{kind: segnet_split, width')
    with pytest.raises(ParamsError, match="lower-case letters"):
        load()


def test_a_label_can_name_a_variant(project, edit) -> None:
    edit("segnet_split: {width: 0.0625}", "narrow: {kind: segnet_split, width: 0.0625}")
    assert {cell.model for cell in grid.cells(load(), "tiny")} == {"segnet_single", "narrow"}


def test_the_shipped_parameters_are_valid_and_every_grid_can_be_listed(repository, monkeypatch) -> None:
    monkeypatch.chdir(repository)
    params = load()
    for name in params.experiments:
        found = grid.cells(params, name)
        assert len({cell.path for cell in found}) == len(found) > 0


def test_the_schema_is_in_step(repository) -> None:
    path = repository / "workflow/schemas/params.schema.json"
    assert path.read_text() == text(), "run `python -m mtlbench.plan.schema`"
