"""Searches as they are planned: trials and final runs with their keys, and what is refused before anything runs."""

from collections import Counter

import pytest

from mtlbench import pipeline
from mtlbench.plan import grid, schema, summaries
from mtlbench.plan.dimensions import Dimension, of_entry
from mtlbench.plan.options import Search
from mtlbench.plan.params import load
from mtlbench.plan.quasi import settings
from mtlbench.plan.search_block import Range
from mtlbench.system.errors import ParamsError

RANGE = "{low: 1.0e-4, high: 1.0e-2, log: true}"


def by_path() -> dict[str, grid.Cell]:
    return {cell.path: cell for cell in grid.every_cell(load(), "tiny")}


def keys() -> dict[str, str]:
    return {path: cell.key for path, cell in by_path().items()}


def test_every_row_has_the_same_number_of_trials(search) -> None:
    trials = Counter((cell.model, cell.weighting) for cell in by_path().values() if cell.trial is not None)
    assert trials == Counter({
        ("segnet_single", "only_segmentation"): 3, ("segnet_single", "only_depth"): 3,
        ("segnet_single", "only_normals"): 3,
        ("segnet_split", "equal"): 3, ("segnet_split", "dwa"): 3, ("segnet_split", "static"): 3,
        ("segnet_split", "frozen"): 3,
    })  # fmt: skip
    assert [cell.path for cell in grid.cells(load(), "tiny")] == [
        path for path in by_path() if path.endswith("/seed0")
    ], "what is reported are the final runs"


def test_one_more_trial_adds_one_cell_for_each_row_and_leaves_the_others(search) -> None:
    before = keys()
    search("trials: 3", "trials: 4")
    after = keys()
    added = set(after) - set(before)
    assert added == {path.replace("trial0", "trial3") for path in before if path.endswith("trial0")}
    assert all(after[path] == before[path] for path in before if "trial" in path)
    assert all(after[path] != before[path] for path in before if "seed" in path), "they are chosen from more"


def test_rows_try_the_same_values_of_the_optimiser(search) -> None:
    cells = by_path()
    for number in range(3):
        tried = {
            (spec["training"]["optimizer"]["learning_rate"], spec["training"]["optimizer"]["weight_decay"])
            for path, cell in cells.items() if path.endswith(f"trial{number}")
            for spec in (cell.spec,)
        }  # fmt: skip
        assert len(tried) == 1
    assert (
        len({cells[f"tiny/segnet_split/dwa/trial{i}"].spec["weighting"]["options"]["temperature"] for i in range(3)})
        == 3
    )


def test_a_trial_is_an_ordinary_cell_judged_on_held_out_images(search) -> None:
    spec = by_path()["tiny/segnet_split/dwa/trial1"].spec
    assert spec["protocol"] == {"name": "held_out", "last_epochs": None, "share": 0.34, "record_test": False}
    assert spec["training"]["epochs"] == 2
    assert spec["seed"] == 1000
    assert set(spec) == {"version", "dataset", "training", "protocol", "tasks", "model", "weighting", "seed"}


def test_static_weights_are_of_the_simplex(search) -> None:
    tried = [by_path()[f"tiny/segnet_split/static/trial{i}"].spec["weighting"]["options"]["weights"] for i in range(3)]
    for weights in tried:
        assert set(weights) == {"segmentation", "depth", "normals"}
        assert sum(weights.values()) == pytest.approx(3, abs=2e-3)  # four significant digits each
        assert all(value >= 0 for value in weights.values())
    assert tried[0] != tried[1]


def test_frozen_weights_depend_on_the_same_run_of_the_other_row(search) -> None:
    cells = by_path()
    for number in range(3):
        frozen, dwa = (cells[f"tiny/segnet_split/{label}/trial{number}"] for label in ("frozen", "dwa"))
        assert frozen.needs == dwa.manifest
        assert frozen.spec["weighting"]["mean_of"] == dwa.key
        assert frozen.spec["training"] == dwa.spec["training"]
    order = [cell.path for group in grid.stages(load(), "tiny") for cell in group]
    assert order.index("tiny/segnet_split/frozen/trial0") > order.index("tiny/segnet_split/dwa/trial2")
    assert sorted(order) == sorted(cells)


def test_frozen_weights_without_a_search_depend_on_the_run_of_the_same_seed(project, edit) -> None:
    before = {cell.path: cell.key for cell in grid.cells(load(), "tiny")}
    edit("      dwa: {temperature: 2.0}\n", "      mean: {of: dwa}\n      dwa: {temperature: 2.0}\n")
    cells = by_path()
    assert cells["tiny/segnet_split/mean/seed0"].needs == cells["tiny/segnet_split/dwa/seed0"].manifest
    assert {path: cell.key for path, cell in cells.items() if "mean" not in path} == before
    key = cells["tiny/segnet_split/mean/seed0"].key
    edit("dwa: {temperature: 2.0}", "dwa: {temperature: 3.0}")
    assert keys()["tiny/segnet_split/mean/seed0"] != key


def test_final_runs_need_the_selection_and_their_keys_no_outcome(search) -> None:
    final = by_path()["tiny/segnet_split/dwa/seed0"]
    assert final.needs == summaries.selection_manifest(load(), "tiny")
    assert final.needs is not None
    assert not final.needs.exists()
    assert final.spec["protocol"]["name"] == "paper"
    assert final.spec["training"]["epochs"] == 3


def test_a_narrower_range_of_one_weighting_changes_its_row_and_what_is_frozen_at_it(search) -> None:
    before = keys()
    search("      space:\n", "      space:\n        weightings: {dwa: {temperature: {low: 1.0, high: 2.0}}}\n")
    changed = {path for path, key in keys().items() if before[path] != key}
    assert changed == {path for path in before if "/dwa/" in path or "/frozen/" in path}


def test_an_option_with_a_value_is_not_searched(search) -> None:
    search("dwa: {}", "dwa: {temperature: 2.0}")
    cells = by_path()
    tried = {cells[f"tiny/segnet_split/dwa/trial{i}"].spec["weighting"]["options"]["temperature"] for i in range(3)}
    assert tried == {2.0}


def test_a_search_without_seeds_has_five(search) -> None:
    search("    seeds: [0]\n", "")
    assert load().experiments["tiny"].seeds == [0, 1, 2, 3, 4]


SCHEDULES = "        schedule: {values: [{name: constant}, {name: cosine}, {name: step, every: 2, factor: 0.5}]}\n"


def test_schedules_are_tried_by_all_rows_alike(search) -> None:
    before = by_path()
    search("      space:\n", f"      space:\n{SCHEDULES}")
    cells = by_path()
    for number in range(3):
        tried = [
            cell.spec["training"]["schedule"] for path, cell in cells.items() if path.endswith(f"trial{number}")
        ]  # fmt: skip
        assert len(tried) == 7
        assert all(one == tried[0] for one in tried)
        assert tried[0].keys() == before["tiny/segnet_split/dwa/trial0"].spec["training"]["schedule"].keys()
    names = {cell.spec["training"]["schedule"]["name"] for cell in cells.values() if cell.trial is not None}
    assert len(names) > 1
    rates = [[one[f"tiny/segnet_split/dwa/trial{i}"].spec["training"]["optimizer"] for i in range(3)]
             for one in (before, cells)]  # fmt: skip
    assert rates[0] == rates[1], "the optimiser's values stay"


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("{values: [{name: linear}]}", r"schedule\.values\.0: .*'constant', 'step' or 'cosine', found"),
        ("{values: [{name: cosine, every: 2}]}", r"schedule\.values\.0: 'every' and 'factor' belong to the step"),
        ("{values: [cosine]}", r"schedule\.values\.0: .*found cosine"),
        ("{values: []}", r"schedule: expected at least one of 'values'"),
        ("{values: [{name: cosine}, {name: cosine, every: null}]}", r"schedule: expected different 'values'"),
        ("{low: 0.1, high: 1.0}", r"schedule: expected 'values', a list of schedules"),
    ],
)
def test_what_is_no_schedule(search, schedule: str, message: str) -> None:
    search("      space:\n", f"      space:\n        schedule: {schedule}\n")
    with pytest.raises(ParamsError, match=message):
        grid.every_cell(load(), "tiny")


RUNGS = "      rungs: [{epochs: 1, keep: 3}, {epochs: 3, keep: 1}]\n"


@pytest.fixture
def rungs(search):
    """``edit`` of a search of five trials of four epochs that climb two rungs."""
    search("      frozen: {of: dwa}\n", "")
    search("trials: 3\n      epochs: 2\n", f"trials: 5\n      epochs: 4\n{RUNGS}")
    return search


def test_every_trial_has_a_cell_for_each_rung_and_one_for_the_end(rungs) -> None:
    cells = by_path()
    rows = {path.rsplit("/", 1)[0] for path in cells}
    runs = [f"trial{i}{rung}" for rung in ("_rung1", "_rung2", "") for i in range(5)] + ["seed0"]
    assert set(cells) == {f"{row}/{run}" for row in rows for run in runs}
    groups = [{path.rsplit("/", 1)[1] for path in paths} for paths in (
        [cell.path for cell in group] for group in grid.stages(load(), "tiny")
    )]  # fmt: skip
    assert groups == [set(runs[:5]), set(runs[5:10]), set(runs[10:15]), {"seed0"}]
    for rung, run in ((None, "trial0_rung1"), (1, "trial4_rung2"), (2, "trial0")):
        needed = None if rung is None else summaries.selection_manifest(load(), "tiny", rung)
        assert cells[f"tiny/segnet_split/dwa/{run}"].needs == needed
    assert [cell.path for cell in grid.trials(load(), "tiny")] == [path for path in cells if path[-7:-1] == "/trial"]


def test_a_trial_with_rungs_is_a_beginning_of_the_one_without(rungs) -> None:
    """Schedule, seed and options are those of the whole trial: switching rungs off trains none that ran to its end."""
    climbing = by_path()
    rungs(RUNGS, "")
    block = load().experiments["tiny"].search
    assert block is not None
    assert "rungs" not in block.model_dump(), "what was shared before rungs stands beside what is shared now"
    for path, whole in ((path, cell) for path, cell in by_path().items() if cell.trial is not None):
        for rung, stop in (("_rung1", 1), ("_rung2", 3), ("", None)):
            cell = climbing[path + rung]
            assert {
                name: value for name, value in cell.spec.items() if name not in ("rung", "stop_after")
            } == whole.spec
            assert cell.recipe.stop_after == stop
        assert climbing[f"{path}_rung1"].whole.key == whole.key
        assert climbing[f"{path}_rung1"].recipe.training == whole.recipe.training


def test_a_rung_changes_what_comes_after_it_alone(rungs) -> None:
    before = keys()
    rungs("{epochs: 3, keep: 1}", "{epochs: 3, keep: 2}")
    changed = {path for path, key in keys().items() if before[path] != key}
    assert changed == {path for path in before if "_rung" not in path}
    rungs("trials: 5", "trials: 6")
    added = {path for path in keys() if path not in before}
    assert len(added) == 6 * 3
    assert all(keys()[path] == before[path] for path in before if "_rung1" in path)


@pytest.mark.parametrize(
    ("rungs_", "message"),
    [
        ("[{epochs: 1, keep: 5}]", r"rungs\.0\.keep: expected fewer than the 5 trials of a row, found 5; a rung stops"),
        ("[{epochs: 1, keep: 2}, {epochs: 2, keep: 2}]", r"rungs\.1\.keep: .* the 2 trials that rung 1 keeps, found 2"),
        ("[{epochs: 1, keep: 0}]", r"rungs\.0\.keep: .*greater than or equal to 1, found 0"),
        ("[{epochs: 0, keep: 1}]", r"rungs\.0\.epochs: .*greater than or equal to 1, found 0"),
        ("[{epochs: 4, keep: 1}]", r"rungs\.0\.epochs: expected fewer than the 4 epochs of a trial, found 4"),
        ("[{epochs: 2, keep: 3}, {epochs: 2, keep: 1}]", r"rungs\.1\.epochs: expected more than the 2 of the rung bef"),
        ("[{epochs: 1}]", r"rungs\.0\.keep: missing; expected how many of every row go on"),
        ("[{epochs: 1, keep: 0.5}]", r"rungs\.0\.keep: .*integer, found 0\.5"),
        ("[{epoch: 1, keep: 1}]", r"rungs\.0\.epoch: unknown key\. Did you mean 'epochs'"),
        ("{epochs: 1, keep: 1}", r"search\.rungs: .*list"),
    ],
)
def test_rungs_that_cannot_be_climbed(rungs, rungs_: str, message: str) -> None:
    rungs(RUNGS, f"      rungs: {rungs_}\n")
    with pytest.raises(ParamsError, match=message) as found:
        grid.every_cell(load(), "tiny")
    assert "experiments.tiny.search.rungs" in str(found.value)


def test_a_rung_that_there_is_not_is_named(rungs) -> None:
    with pytest.raises(ParamsError, match=r"--rung: expected 1 to 2, the rungs of experiments\.tiny\.search, found 3"):
        pipeline.select(load(), "tiny", rung=3)
    rungs(RUNGS, "")
    with pytest.raises(ParamsError, match=r"--rung: expected none, the rungs of .*, found 1"):
        pipeline.select(load(), "tiny", rung=1)


def test_frozen_weights_have_no_mean_over_a_stopped_trial(rungs) -> None:
    rungs("      static: {}\n", "      static: {}\n      frozen: {of: dwa}\n")
    with pytest.raises(ParamsError, match=r"search\.rungs: expected none beside weightings\.frozen, .*'dwa'"):
        load()


def test_the_schema_knows_the_block() -> None:
    assert '"SearchBlock"' in schema.text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("trials: 3", "trials: 0", r"tiny\.search\.trials: .*greater than or equal to 1, found 0"),
        ("      held_out: 0.34\n", "", r"tiny\.search\.held_out: missing; expected share of the training images"),
        ("held_out: 0.34", "held_out: 0.05", r"tiny\.search\.held_out: .*both sides, found 0\.05 of 6"),
        ("held_out: 0.34", "held_out: 0.95", r"tiny\.search\.held_out: .*both sides, found 0\.95 of 6"),
        ("held_out: 0.34", "held_out: 1.0", r"tiny\.search\.held_out: .*less than 1"),
        ("learning_rate: {low", "learning_rat: {low", r"learning_rat: unknown key\. Did you mean 'learning_rate'"),
        (RANGE, "{low: 1.0e-2, high: 1.0e-4}", r"learning_rate: expected 'low' below"),
        (RANGE, "{low: 0.0, high: 1.0, log: true}", r"learning_rate: .*above 0 for a log"),
        (RANGE, "{low: 0.0, high: 1.0}", r"learning_rate: .*greater than 0, found 0"),
        ("values: [0.0, 1.0e-5]", "values: []", r"weight_decay: expected at least one of 'values'"),
        (RANGE, "{low: 1.0e-3, high: 1.0e-3}", r"learning_rate: expected 'low' below"),
        (RANGE, "{low: 1.0e-4, high: .inf}", r"learning_rate\.high: expected a finite number, found inf"),
        (RANGE, "{low: .nan, high: 1.0e-2}", r"learning_rate\.low: expected a finite number, found nan"),
        ("values: [0.0, 1.0e-5]", "values: [0.0, .nan]", r"weight_decay\.values\.1: expected a finite number, found"),
        ("values: [0.0, 1.0e-5]", "values: [0.0, 0]", r"weight_decay: expected different 'values', found 0 twice"),
        ("values: [0.0, 1.0e-5]", "values: [0.0, much]", r"weight_decay: .*valid number, found much"),
        ("values: [0.0, 1.0e-5]", "low: -1.0, high: 1.0", r"weight_decay: .*greater than or equal to 0, found -1"),
        ("weight_decay: {values: [0.0, 1.0e-5]}", "learning_rates: {values: [1]}", r"learning_rates: unknown key"),
        ("values: [0.0, 1.0e-5]", "low: 0.0", r"weight_decay: expected 'low' and 'high'"),
        ("weight_decay: {values: [0.0, 1.0e-5]}", "momentum: {low: 0.1, high: 0.9}", r"momentum: .*belong to sgd"),
        ("baseline: segnet_single", "baseline: null", r"tiny\.baseline: .*because a search compares"),
        ("      epochs: 2\n", "      epochs: 2\n      seed: 0\n", r"search\.seed: expected none of .*\[0\], found 0"),
        ("frozen: {of: dwa}", "frozen: {of: dwx}", r"weightings\.frozen\.of: .*found 'dwx'\. Did you mean 'dwa'"),
        ("frozen: {of: dwa}", "frozen: {of: frozen}", r"weightings\.frozen\.of: .*found 'frozen'"),
    ],
)  # fmt: skip
def test_what_is_refused_before_anything_runs(search, old: str, new: str, message: str) -> None:
    search(old, new)
    with pytest.raises(ParamsError, match=message) as found:
        grid.every_cell(load(), "tiny")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("weightings: {dwb: {temperature: null}}", r"space\.weightings\.dwb: unknown key\. Did you mean 'dwa'"),
        ("weightings: {dwa: {temperatur: null}}", r"dwa\.temperatur: unknown key\. Did you mean 'temperature'"),
        ("weightings: {dwa: {temperature: {low: 0.0, high: 1.0}}}", r"dwa\.temperature: .*greater than 0, found 0"),
        ("weightings: {dwa: {temperature: {values: [1.0, 2, 1.0]}}}", r"dwa\.temperature: .*different.*1\.0 twice"),
        ("weightings: {dwa: {temperature: {low: 2.0, high: 1.0}}}", r"dwa\.temperature: expected 'low' below"),
        ("weightings: {static: {weights: {low: 0.0, high: 1.0}}}", r"static\.weights: expected null or nothing"),
        ("weightings: {frozen: {weights: null}}", r"weightings\.frozen: it takes the settings of 'dwa'"),
        (
            "models: {segnet_split: {width: {low: 0.1, high: 0.2}}}",
            r"width: expected no range for an option with a value",
        ),
    ],
)
def test_ranges_that_do_not_fit_their_entries(search, space: str, message: str) -> None:
    search("      space:\n", f"      space:\n        {space}\n")
    with pytest.raises(ParamsError, match=message) as found:
        grid.every_cell(load(), "tiny")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("kind", "label", "option", "range_", "message"),
    [
        ("weightings", "go4align", "groups", {"values": ["two"]}, r"groups: .*valid integer, found two"),
        ("weightings", "go4align", "groups", {"low": 1.5, "high": 3.0}, r"groups: .*valid integer, found 1\.5"),
        ("weightings", "rlw", "times_tasks", {"low": 0.0, "high": 1.0}, r"times_tasks: .*valid boolean, found 0"),
        ("models", "resnet_split", "depth", {"low": 18.0, "high": 50.0}, r"depth: input should be 18, 34, .*found 28"),
    ],
)
def test_a_range_of_an_option_that_takes_some_values_only(kind, label, option, range_, message) -> None:
    with pytest.raises(ParamsError, match=message):
        of_entry(kind, label, {}, {option: Range(**range_)}, ("a", "b"), "space")
    assert of_entry("models", "resnet_split", {}, {"depth": Range(values=[18, 50])}, ("a", "b"), "space")


RATE = Dimension("optimizer", "learning_rate", Search(1e-4, 1e-2, log=True))


def test_points_do_not_depend_on_their_number_or_on_what_follows() -> None:
    many = settings([RATE], 20, 0)
    assert settings([RATE], 5, 0) == many[:5]
    more = settings([RATE, Dimension("weighting", "weights", tasks=("a", "b", "c"))], 20, 0)
    assert [one["optimizer"] for one in more] == [one["optimizer"] for one in many]


def test_points_are_these_on_every_machine() -> None:
    """Keys follow from them: another scipy must not move them unseen."""
    assert [one["optimizer"]["learning_rate"] for one in settings([RATE], 4, 1000)] == [
        0.000348,
        0.00348,
        0.00011,
        0.0011,
    ]


def test_points_fill_the_range_evenly() -> None:
    rates = sorted(one["optimizer"]["learning_rate"] for one in settings([RATE], 64, 3))
    for decade in ((1e-4, 1e-3), (1e-3, 1e-2)):
        assert 30 <= sum(decade[0] <= rate < decade[1] for rate in rates) <= 34


def test_whole_numbers_and_lists_are_tried_equally_often() -> None:
    whole = Dimension("weighting", "groups", Search(1, 3), whole=True)
    counts = Counter(whole.value([(i + 0.5) / 300]) for i in range(300))
    assert set(counts) == {1, 2, 3}
    assert max(counts.values()) - min(counts.values()) <= 2
    listed = Dimension("weighting", "scale", Search(values=("a", "b")))
    assert Counter(listed.value([(i + 0.5) / 300]) for i in range(300)) == {"a": 150, "b": 150}


def test_the_simplex_is_filled_evenly() -> None:
    """Uniform on the simplex of T tasks: each weight has mean 1 and variance (T - 1) / (T + 1) (Dirichlet)."""
    weights = Dimension("weighting", "weights", tasks=("a", "b", "c"))
    drawn = [one["weighting"]["weights"] for one in settings([weights], 2048, 0)]
    for task in ("a", "b", "c"):
        values = [one[task] for one in drawn]
        mean = sum(values) / len(values)
        assert mean == pytest.approx(1, abs=0.01)
        assert sum((value - mean) ** 2 for value in values) / len(values) == pytest.approx(0.5, abs=0.01)
