"""The spec of a cell and its typed form: keys stay, and manifests are read as strictly as parameters."""

import copy
import hashlib
import json

import pytest

from mtlbench.plan import grid, keys
from mtlbench.plan.blocks import Protocol, Training
from mtlbench.plan.params import load
from mtlbench.plan.recipe import Recipe
from mtlbench.runs.manifest import Manifest, read_cell, write
from mtlbench.system.errors import DamagedError

#: Finished work is found by these: only a raised version (of an entry, of training, of prepared data) changes them.
KEYS = {
    "tiny/segnet_single/only_segmentation/seed0": "a563cf337c2c6bca",
    "tiny/segnet_split/dwa/seed0": "7dd980d9745b1579",
}
DATASET = '{"kind":"rooms","options":{"height":32,"noise":3,"seed":1,"test":3,"train":6,"width":32},"prepared":2,"raw":{},"version":1}'  # fmt: skip  # noqa: E501
DWA = (
    '{"dataset":"dee14b3121dcb2ec","model":{"kind":"segnet_split","options":{"width":0.0625},"version":1},'
    '"protocol":{"last_epochs":2,"name":"paper","record_test":false,"share":null},"seed":0,'
    '"tasks":["segmentation","depth","normals"],'
    '"training":{"augmentation":null,"batch_size":2,"drop_last":false,"epochs":3,'
    '"optimizer":{"learning_rate":0.001,"momentum":0,"name":"adam","nesterov":false,"weight_decay":0},'
    '"precision":"float32","schedule":{"every":null,"factor":null,"name":"constant"}},"version":2,'
    '"weighting":{"kind":"dwa","options":{"nash_mtl_iteration_window":0,"temperature":2},"version":1}}'
)


def test_keys_are_those_of_results_that_exist(project) -> None:
    found = {cell.path: cell.key for cell in grid.cells(load(), "tiny")}
    assert {path: found[path] for path in KEYS} == KEYS
    cell = grid.cell(load(), "tiny/segnet_split/dwa/seed0")
    assert (keys.canonical(cell.spec), keys.canonical(cell.dataset.spec)) == (DWA, DATASET)
    assert cell.key == hashlib.sha256(DWA.encode()).hexdigest()[:16]


def test_a_recipe_says_what_the_parameters_say(project, edit) -> None:
    edit("drop_last: false", "drop_last: false\n      processes: 2")
    params = load()
    cell = grid.cell(params, "tiny/segnet_split/dwa/seed0")
    recipe = cell.recipe
    tiny = params.experiments["tiny"]
    assert (recipe.training, recipe.protocol) == (tiny.training, tiny.protocol)
    assert (type(recipe.training), type(recipe.protocol)) == (Training, Protocol)
    assert (recipe.seed, recipe.tasks, recipe.dataset) == (cell.seed, cell.tasks, cell.dataset.key)
    assert (recipe.model.kind, recipe.model.options) == ("segnet_split", {"width": 0.0625})
    assert recipe.weighting.options == {"temperature": 2.0, "nash_mtl_iteration_window": 0}
    assert Recipe.of(json.loads(keys.canonical(cell.spec))) == recipe, "a manifest gives the same"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("training", "epochs"), "many"),
        (("training", "batch_sise"), 2),
        (("protocol", "name"), "best"),
        (("model", "kind"), None),
        (("weighting", "options"), []),
        (("tasks",), "depth"),
        (("seed",), None),
    ],
)
def test_a_manifest_whose_spec_is_no_cells_is_damaged_and_says_where(project, place, value) -> None:
    cell = grid.cell(load(), "tiny/segnet_split/dwa/seed0")
    spec = copy.deepcopy(cell.spec)
    parent = spec
    for part in place[:-1]:
        parent = parent[part]
    parent[place[-1]] = value
    facts = {"status": "complete", "data": {}, "dataset": {}}
    write(cell.folder, cell.spec, {}, facts)
    assert read_cell(cell).recipe == cell.recipe
    record = json.loads(cell.manifest.read_text())
    cell.manifest.write_text(json.dumps({**record, "spec": spec}))
    with pytest.raises(DamagedError, match=f"what its spec says at '{'.'.join(place)}"):
        read_cell(cell)


def test_a_manifest_of_something_else_has_no_recipe(tmp_path) -> None:
    manifest = Manifest.read(write(tmp_path, {"a": 1}, {}))
    with pytest.raises(DamagedError, match="what its spec says at 'version'"):
        _ = manifest.recipe
