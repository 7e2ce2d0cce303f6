import io
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from mtlbench.listing import alone, expanded
from mtlbench.plan import grid, keys
from mtlbench.plan.params import Params, load, validate
from mtlbench.plan.registry import entries
from mtlbench.system.errors import ParamsError

#: Of the cells of the shipped experiments when every one was written out: a digest of their paths and settings, without
#: the dataset's key and the versions, which other changes raise.
SHIPPED = {
    "demo": "5f74f633c677a799",
    "weightings": "44dd84cb93f7f97c",
    "nyuv2": "f2055eb04cbd2c8d",
    "cityscapes2": "a9fa8d828f65b29e",
    "cityscapes7": "c66716c39a5cc1d8",
    "cityscapes19": "c47faa8a79f709a8",
}


def settings(params: Params, name: str) -> str:
    """The digest of SHIPPED."""
    found = []
    for cell in grid.cells(params, name):
        spec = {key: value for key, value in cell.spec.items() if key not in ("version", "dataset")}
        for part in ("model", "weighting"):
            spec[part] = {key: value for key, value in spec[part].items() if key != "version"}
        found.append([cell.path, spec])
    return keys.key(found)


@pytest.fixture
def shipped(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped params.yaml in an empty folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "params.yaml"
    path.write_text((repository / "params.yaml").read_text())
    return path


def test_the_shipped_experiments_have_the_keys_of_when_they_were_written_out(shipped) -> None:
    params = load(shipped)
    assert {name: settings(params, name) for name in SHIPPED} == SHIPPED


def test_the_expanded_form_is_valid_and_has_the_same_keys(shipped) -> None:
    params = load(shipped)
    value = YAML(typ="safe").load(shipped)
    value["experiments"] = {}
    for name in params.experiments:
        text = expanded(params, name)
        assert "use:" not in text
        assert "grid:" not in text
        value["experiments"].update(YAML(typ="safe").load(io.StringIO(text)))
    for block in ("protocols", "trainings", "grids"):
        del value[block]
    written_out = validate(value)
    plain = io.StringIO()
    YAML().dump({"a": None}, plain)
    assert plain.getvalue() == "a:\n"  # other writers of YAML in this process write as before
    for name in params.experiments:
        assert [cell.key for cell in grid.cells(written_out, name)] == [cell.key for cell in grid.cells(params, name)]


def test_what_goes_to_others_has_the_data_and_no_path_of_this_machine(shipped) -> None:
    apply_overrides(shipped, ["datasets.photos.source=/home/somebody/pictures/mine"])
    found = YAML(typ="safe").load(alone(load(shipped), "photos"))
    assert list(found["datasets"]) == ["photos"]
    assert found["datasets"]["photos"] == load(shipped).datasets["photos"] | {"source": "mine"}
    assert found["experiments"]["photos"]["training"]["batch_size"] == 3
    assert YAML(typ="safe").load(alone(load(shipped), "nyuv2"))["datasets"]["nyuv2"]["source"] is None


def epochs(path: Path) -> dict[str, int]:
    return {name: experiment.training.epochs for name, experiment in load(path).experiments.items()}


def test_a_shared_value_changes_all_that_take_it_and_an_own_value_one(shipped) -> None:
    before = epochs(shipped)
    apply_overrides(shipped, ["trainings.mtan.epochs=13"])
    users = {"nyuv2", "cityscapes2", "cityscapes7", "cityscapes19"}
    assert epochs(shipped) == before | dict.fromkeys(users, 13)
    apply_overrides(shipped, ["experiments.demo.training.epochs=3"])
    assert epochs(shipped) == before | dict.fromkeys(users, 13) | {"demo": 3}
    apply_overrides(shipped, ["++experiments.nyuv2.training.epochs=11"])
    assert epochs(shipped)["nyuv2"] == 11
    assert epochs(shipped)["cityscapes2"] == 13


@pytest.mark.parametrize("where", ["experiments.demo", "experiments.weightings", "grids.mtan"])
def test_the_documented_override_needs_no_plus(shipped, where: str) -> None:
    apply_overrides(shipped, [f"{where}.weightings.dwa.temperature=1.5"])
    params = load(shipped)
    experiment = params.experiments["nyuv2" if where == "grids.mtan" else where.split(".")[1]]
    assert experiment.weightings["dwa"]["temperature"] == 1.5


def test_every_option_of_the_shipped_grids_is_written_so_that_it_can_be_overridden(shipped) -> None:
    value = YAML(typ="safe").load(shipped)
    blocks = [*value["grids"].values(), *(block for block in value["experiments"].values() if "grid" not in block)]
    for block in blocks:
        for kind in ("models", "weightings"):
            for label, options in block[kind].items():
                if set(options) == {"of"}:  # frozen: it takes the settings of another row
                    continue
                entry = entries(kind)[options.get("kind", label)]
                searched = set(entry.searched) if "search" in block and kind == "weightings" else set()
                assert (
                    set(options) - {"kind", "start_from", "weightings"} == set(entry.options.model_fields) - searched
                ), f"{kind}: {label}"


SHARED = {
    "trainings: {}": """trainings:
  base:
    epochs: 3
    batch_size: 2
    optimizer: {name: adam, learning_rate: 1.0e-3, weight_decay: 0.0}
    schedule: {name: constant}
    drop_last: false
    precision: float32
    augmentation: null""",
    "grids: {}": """grids:
  base:
    baseline: segnet_single
    models: {segnet_single: {width: 0.0625}, segnet_split: {width: 0.0625}}
    weightings: {equal: {}, dwa: {temperature: 2.0}}
    seeds: [0]
    resources: {gpu: 0, memory_mb: 1000, minutes: 5}""",
}
TINY = """
  tiny:
    title: Tiny
    dataset: rooms
    tasks: [segmentation, depth, normals]
    protocol: {name: paper, last_epochs: 2}
    grid: base
    training: {use: base}
"""


@pytest.fixture
def sharing(project: Path):
    """The tiny experiment with shared blocks, and a function that replaces text in its params.yaml."""
    path = project / "params.yaml"
    before = [cell.key for cell in grid.cells(load(), "tiny")]
    text = path.read_text().split("  tiny:\n")[0].rstrip() + TINY
    for old, new in SHARED.items():
        text = text.replace(old, new)
    path.write_text(text)
    assert [cell.key for cell in grid.cells(load(), "tiny")] == before

    def edit(old: str, new: str) -> None:
        assert path.read_text().count(old) == 1
        path.write_text(path.read_text().replace(old, new))

    return edit


def test_own_values_are_laid_over_shared_ones(sharing) -> None:
    sharing("training: {use: base}", "training: {use: base, batch_size: 3, optimizer: {learning_rate: 0.5}}")
    sharing(
        "grid: base", "grid: base\n    models: {segnet_split: {width: 0.125}}\n    weightings: {dwa: null, uw_so: {}}"
    )
    tiny = load().experiments["tiny"]
    assert (tiny.training.batch_size, tiny.training.epochs) == (3, 3)
    assert (tiny.training.optimizer.learning_rate, tiny.training.optimizer.name) == (0.5, "adam")
    assert tiny.models == {"segnet_single": {"width": 0.0625}, "segnet_split": {"width": 0.125}}
    assert list(tiny.weightings) == ["equal", "uw_so"]


def test_a_dataset_takes_the_values_of_another(sharing) -> None:
    sharing("protocols: {}", "  more: {use: rooms, train: 7}\nprotocols: {}")
    params = load()
    assert params.datasets["more"] == {**params.datasets["rooms"], "train": 7}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{use: base}", "{use: bsae}", ["experiments.tiny.training.use", "under trainings:", "Did you mean 'base'?"]),
        ("{use: base}", "{use: [1]}", ["experiments.tiny.training.use", "found [1]"]),
        ("{use: base}", "{use: base, epochz: 1}", ["experiments.tiny.training.epochz: unknown key"]),
        ("{use: base}", "base", ["experiments.tiny.training", "found 'base'", "{use: base}"]),
        ("grid: base", "grid: bse", ["experiments.tiny.grid", "under grids:", "Did you mean 'base'?"]),
        ("{name: paper, last_epochs: 2}", "{use: x}", ["experiments.tiny.protocol.use", "no block protocols"]),
        ("    epochs: 3", "    epochs: 0", ["trainings.base.epochs", "found 0"]),
        ("    epochs: 3", "    epochs: 1", ["experiments.tiny.protocol.last_epochs", "at most the 1 epochs"]),
        ("    seeds: [0]", "    seeds: [0, 0]", ["experiments.tiny.seeds (written at grids.base.seeds)", "different"]),
        ("equal: {}", "eqal: {}", ["grids.base.weightings.eqal", "Did you mean 'equal'?"]),
        ("segnet_split: {width: 0.0625}", "segnet_split: {width: wide}", ["grids.base.models.segnet_split.width"]),
        ("height: 32", "height: 40", ["experiments.tiny.models.segnet_single (written at grids.base.models"]),
        ("protocols: {}", "  b: {use: rooms}\n  c: {use: b}\nprotocols: {}", ["datasets.c.use: 'b' takes"]),
    ],
)  # fmt: skip
def test_mistakes_are_named_where_they_are_written(sharing, old: str, new: str, words: list[str]) -> None:
    sharing(old, new)
    with pytest.raises(ParamsError) as caught:
        grid.cells(load(), "tiny")
    for word in words:
        assert word in str(caught.value)
    assert "params.yaml" in str(caught.value) or "tiny" in str(caught.value)


def test_a_file_without_shared_blocks_stays_valid(project, edit) -> None:
    before = [cell.key for cell in grid.cells(load(), "tiny")]
    for block in ("protocols", "trainings", "grids"):
        edit(f"{block}: {{}}\n", "")
    assert [cell.key for cell in grid.cells(load(), "tiny")] == before


def test_every_block_that_enters_keys_is_in_dvcs_list(repository: Path) -> None:
    stages = YAML(typ="safe").load(repository / "dvc.yaml")["stages"]
    for stage in ("train", "report"):
        assert {"protocols", "trainings", "grids", "experiments"} <= set(stages[stage]["params"])
