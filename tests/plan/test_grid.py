import pytest

from mtlbench.plan import grid, summaries
from mtlbench.plan.params import load
from mtlbench.system.errors import ParamsError


def by_path() -> dict[str, str]:
    return {cell.path: cell.key for cell in grid.cells(load(), "tiny")}


def changed(before: dict[str, str]) -> set[str]:
    """Paths whose key is new or different."""
    return {path for path, key in by_path().items() if before.get(path) != key}


def test_a_single_task_model_has_one_cell_per_task_and_seed(project) -> None:
    assert [cell.path for cell in grid.cells(load(), "tiny")] == [
        "tiny/segnet_single/only_segmentation/seed0",
        "tiny/segnet_single/only_depth/seed0",
        "tiny/segnet_single/only_normals/seed0",
        "tiny/segnet_split/equal/seed0",
        "tiny/segnet_split/dwa/seed0",
    ]
    assert grid.cells(load(), "tiny")[1].tasks == ("depth",)


def test_a_weightings_option_changes_exactly_its_cells(project, edit) -> None:
    before = by_path()
    edit("temperature: 2.0", "temperature: 3.0")
    assert changed(before) == {"tiny/segnet_split/dwa/seed0"}


def test_settings_of_a_part_change_exactly_the_cells_of_models_that_have_it(project, edit) -> None:
    edit("segnet_split: {width: 0.0625}", "segnet_split: {width: 0.0625}\n      segnet_cross_stitch: {width: 0.0625}")
    before = by_path()
    edit("precision: float32", "parts: {fusion: {rate_factor: 100}}\n      precision: float32")
    assert changed(before) == {f"tiny/segnet_cross_stitch/{weighting}/seed0" for weighting in ("equal", "dwa")}
    edit("parts: {fusion:", "parts: {fusoin:")
    with pytest.raises(
        ParamsError, match=r"training\.parts\.fusoin: no model .* has that part\. Did you mean 'fusion'"
    ):
        load()


def test_a_new_seed_adds_exactly_its_cells(project, edit) -> None:
    before = by_path()
    edit("seeds: [0]", "seeds: [0, 1]")
    assert changed(before) == {path.replace("seed0", "seed1") for path in before}


def test_a_training_setting_changes_every_cell(project, edit) -> None:
    before = by_path()
    edit("learning_rate: 1.0e-3", "learning_rate: 2.0e-3")
    assert changed(before) == set(before)


def test_an_option_of_the_data_changes_every_cell(project, edit) -> None:
    before = by_path()
    edit("train: 6", "train: 7")
    assert changed(before) == set(before)


def test_the_runtime_and_resources_change_nothing(project, edit) -> None:
    before = by_path()
    edit("threads: 1", "threads: 2")
    edit("device: cpu", "device: auto")
    edit("minutes: 5", "minutes: 50")
    edit("title: Tiny", "title: Other")
    assert changed(before) == set()


def test_writing_a_default_out_changes_nothing(project, edit) -> None:
    before = by_path()
    edit("dwa: {temperature: 2.0}", "dwa: {}")
    assert changed(before) == set()


def test_the_same_run_in_another_experiment_has_the_same_key(project) -> None:
    text = (project / "params.yaml").read_text()
    block = text.split("  tiny:\n")[1]
    (project / "params.yaml").write_text(text + "  other:\n" + block.replace("title: Tiny", "title: Other"))
    keys = {name: [cell.key for cell in grid.cells(load(), name)] for name in ("tiny", "other")}
    assert keys["tiny"] == keys["other"]


def test_the_report_depends_on_its_cells(project, edit) -> None:
    before = summaries.report_spec(load(), "tiny")
    edit("temperature: 2.0", "temperature: 3.0")
    assert summaries.report_spec(load(), "tiny") != before


def test_pretrained_weights_enter_the_key_by_their_content(project, edit) -> None:
    file = project / "resnet18.pth"
    file.write_bytes(b"one")
    edit("segnet_split: {width: 0.0625}", "resnet_split: {depth: 18, weights: resnet18.pth}")
    before = by_path()
    file.write_bytes(b"other")
    assert changed(before) == {"tiny/resnet_split/equal/seed0", "tiny/resnet_split/dwa/seed0"}
    file.unlink()
    with pytest.raises(ParamsError, match=r"resnet_split\.weights: expected .* a readable file, found 'resnet18.pth'"):
        by_path()
