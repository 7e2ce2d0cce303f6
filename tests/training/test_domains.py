"""Training with a classifier for each domain: the steps of an epoch, what a step moves, and whole runs."""

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from mtlbench import pipeline
from mtlbench.plan import extensions, grid, places
from mtlbench.plan.matching import with_norms
from mtlbench.plan.params import load
from mtlbench.runs import code
from mtlbench.system.errors import DataError, Interrupted, ParamsError
from mtlbench.system.files import read_json
from mtlbench.training import loop
from mtlbench.training.build import make_trainer
from mtlbench.training.cell import run_cell
from mtlbench.training.domains import Domain, check_domains, steps_of
from mtlbench.training.saving import resume
from mtlbench.training.step import Part, augmented

PARAMS = """
run: [tiny]
runtime: {device: cpu, threads: 1, workers: 1, checkpoint_seconds: 0, compile: false, data: auto}
datasets:
  shapes: {kind: shapes, height: 16, width: 16, train: 6, test: 4, seed: 1}
experiments:
  tiny:
    title: Tiny
    dataset: shapes
    tasks: [digits, solids, textures]
    protocol: {name: paper, last_epochs: 1}
    baseline: linear_single
    models:
      linear_single: {}
      linear: {}
    weightings: {equal: {}}
    seeds: [0]
    training:
      epochs: 2
      batch_size: 4
      optimizer: {name: sgd, learning_rate: 0.1, weight_decay: 0.1}
      schedule: {name: constant}
      drop_last: false
      precision: float32
      augmentation: {scales: [1.0, 1.2], flip: true}
      domains: together
    resources: {gpu: 0, memory_mb: 1000, minutes: 5}
"""
#: Linear networks, small enough for many runs.
CLASSIFIERS = Path(__file__).parent / "classifiers"


@pytest.fixture
def shapes(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of three rendered domains and linear networks."""
    monkeypatch.setenv(extensions.VARIABLE, "")
    (project / "params.yaml").write_text(f"extensions: ['{CLASSIFIERS}']\n{PARAMS}")
    pipeline.prepare(load(), "shapes")
    return project


def domains(*counts: int) -> list[Domain]:
    """Domains of so many images, numbered through."""
    ends = np.cumsum([0, *counts])
    spans = [torch.arange(int(start), int(end)) for start, end in itertools.pairwise(ends)]
    return [Domain((f"d{number}",), span, span) for number, span in enumerate(spans)]


def names(steps: list) -> list[str]:
    """The domains of each step in one word."""
    return ["".join(domain.tasks[0] for domain, _ in step) for step in steps]


def test_in_turn_goes_through_every_image_once_domain_after_domain() -> None:
    steps = steps_of(domains(5, 3), "in_turn", 0, 0, 2, False)
    assert names(steps) == ["d0"] * 3 + ["d1"] * 2
    assert sorted(torch.cat([batch for step in steps for _, batch in step]).tolist()) == list(range(8))


def test_interleaved_has_the_same_batches_in_another_order_each_epoch() -> None:
    parts = domains(40, 40)
    first, second = (names(steps_of(parts, "interleaved", 0, epoch, 4, False)) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == ["d0"] * 10 + ["d1"] * 10
    assert first != second
    assert first != sorted(first)
    in_turn = steps_of(parts, "in_turn", 0, 0, 4, False)
    mixed = steps_of(parts, "interleaved", 0, 0, 4, False)
    assert {tuple(b.tolist()) for s in in_turn for _, b in s} == {tuple(b.tolist()) for s in mixed for _, b in s}


def test_together_begins_a_small_domain_again_until_the_largest_is_through() -> None:
    steps = steps_of(domains(6, 3), "together", 0, 0, 2, False)
    assert names(steps) == ["d0d1"] * 3
    small = [step[1][1].tolist() for step in steps]
    assert sorted(small[0] + small[1]) == [6, 7, 8]
    assert set(small[2]) < {6, 7, 8}


def test_a_domain_without_images_is_refused() -> None:
    with pytest.raises(DataError, match="expected a training image of d1, found none"):
        check_domains(domains(2, 0), "training")


def test_a_step_of_one_domain_leaves_the_classifiers_of_the_others(shapes: Path, edit, tmp_path: Path) -> None:
    edit("domains: together", "domains: in_turn")
    trainer, _ = make_trainer(grid.cell(load(), "tiny/linear/equal/seed0"), load().runtime, tmp_path / "resume")
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.hooks.stop = lambda: "SIGTERM"
    with pytest.raises(Interrupted):
        loop.run(trainer)
    moved = {name for name, value in trainer.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"trunk.weight", "trunk.bias", "heads.digits.weight", "heads.digits.bias"}


def test_digits_are_not_mirrored_and_solids_are(shapes: Path, tmp_path: Path) -> None:
    trainer, _ = make_trainer(grid.cell(load(), "tiny/linear/equal/seed0"), load().runtime, tmp_path / "resume")
    parts = [Part(domain.tasks, trainer.data.train_split.batch(domain.indices)) for domain in trainer.domains]
    same = {p.tasks[0]: torch.equal(p.batch["image"], q.batch["image"])
            for p, q in zip(parts, augmented(trainer, parts), strict=True)}  # fmt: skip
    assert same == {"digits": True, "solids": False, "textures": False}


def outputs(cell: grid.Cell) -> dict[str, bytes]:
    """The bytes of a cell's results."""
    return {p.name: p.read_bytes() for p in cell.folder.iterdir() if not p.name.startswith("manifest")}


@pytest.mark.parametrize("how", ["together", "interleaved"])
def test_a_run_counts_each_domain_on_its_own_images(shapes: Path, edit, how: str) -> None:
    edit("domains: together", f"domains: {how}")
    many, one = (grid.cell(load(), f"tiny/{name}/seed0") for name in ("linear/equal", "linear_single/only_solids"))
    for cell in (many, one):
        assert run_cell(cell, load().runtime) == "complete"
    reported = read_json(many.folder / "metrics.json")["reported"]
    assert {task: sorted(values) for task, values in reported.items()} == {
        task: ["top1", "top5"] for task in ("digits", "solids", "textures")
    }
    # Test images are those of all four domains, so rows of one and of many networks fit together image by image.
    with np.load(many.folder / "per_image.npz") as statistics, np.load(one.folder / "per_image.npz") as alone:
        # The order of the domains in the data: solids, sketches, textures, digits.
        assert statistics["solids/images"].tolist() == alone["solids/images"].tolist() == [1] * 4 + [0] * 12
        assert statistics["digits/images"].tolist() == [0] * 12 + [1] * 4
        assert statistics["solids/confusion"][4:].sum() == 0
        assert reported["solids"]["top1"] == statistics["solids/top1"].sum() / 4
    assert read_json(one.manifest)["dataset"]["images"] == {"train": 6, "held_out": 0, "test": 4}
    with np.load(many.folder / "samples.npz") as samples:
        right = samples["target_digits"] >= 0
        assert right.sum() == 4
        assert ((samples["prediction_digits"] >= 0) == right).all()
        assert (np.isfinite(samples["probability_digits"]) == right).all()
        assert (samples["probability_digits"][right] >= 0.1).all()  # of ten classes the likeliest


@pytest.mark.parametrize(("how", "position"), [("together", (1, 1)), ("in_turn", (0, 3))])
def test_an_interrupted_run_of_domains_ends_with_the_same_bytes(
    shapes: Path, edit, tmp_path: Path, how: str, position: tuple[int, int]
) -> None:
    """Also in the middle of an epoch, when some domains have not had a step."""
    edit("domains: together", f"domains: {how}")
    cell = grid.cell(load(), "tiny/linear/equal/seed0")
    whole, _ = make_trainer(cell, load().runtime, tmp_path / "one")
    loop.run(whole)
    first, _ = make_trainer(cell, load().runtime, tmp_path / "two")
    asked = iter([None, None, "SIGTERM"])
    first.hooks.stop = lambda: next(asked)
    with pytest.raises(Interrupted):
        loop.run(first)
    second, _ = make_trainer(cell, load().runtime, tmp_path / "two")
    assert resume(second)
    assert (second.epoch, second.step) == position
    loop.run(second)
    assert second.rows == whole.rows
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "domains: together",
            "domains: null",
            r"training\.domains: expected together, interleaved or in_turn, because",
        ),
        ("domains: together", "processes: 2", r"together, interleaved or in_turn"),
        ("domains: together", "domains: in_turns", r"training\.domains: .*found 'in_turns'"),
        (
            "domains: together\n",
            "domains: together\n      processes: 2\n",
            r"training\.processes: expected 1 with domains",
        ),
        ("equal: {}", "auto_lambda: {}", r"weightings\.auto_lambda: 'auto_lambda' needs held-out images"),
        (
            "baseline: linear_single",
            "baseline: linear_single\n    baseline_errors: {digits: 0.4}",
            r"baseline_errors: expected an error for each of digits, solids, textures, found digits",
        ),
        (
            "baseline: linear_single",
            "baseline: linear_single\n    baseline_errors: {digits: 40, solids: 1, textures: 1}",
            r"baseline_errors\.digits",
        ),
        (
            "      linear: {}",
            "      segnet_split: {width: 0.0625}",
            r"'segnet_split' predicts maps, but the task 'digits'",
        ),
        ("[digits, solids", "[numbers, solids", r"dataset 'shapes' has no 'numbers'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(
    shapes: Path, edit, old: str, new: str, words: str
) -> None:
    edit(old, new)
    with pytest.raises(ParamsError, match=words):
        grid.cells(load(), "tiny")


@pytest.mark.parametrize(
    ("weighting", "words"),
    [
        ("equal: {}", None),
        ("dwa: {temperature: 2.0}", None),
        ("static: {weights: {digits: 1.0, solids: 2.0, textures: 1.0}}", None),
        ("uncertainty: {start: 0.0}", r"'uncertainty' compares the losses .* take dwa or equal or static"),
        ("pcgrad: {}", r"training\.domains in_turn has one of them in each step; set it to together"),
        ("dwa: {nash_mtl_iteration_window: 5}", r"'dwa' with nash_mtl_iteration_window compares the losses"),
    ],
)
def test_weightings_for_steps_of_one_domain(shapes: Path, edit, weighting: str, words: str | None) -> None:
    edit("domains: together", "domains: in_turn")
    edit("equal: {}", weighting)
    if words is None:
        assert len(grid.cells(load(), "tiny")) == 4
        return
    with pytest.raises(ParamsError, match=words):
        grid.cells(load(), "tiny")


def test_domains_are_refused_where_all_tasks_share_their_images(project: Path, edit) -> None:
    edit("augmentation: null", "augmentation: null\n      domains: together")
    with pytest.raises(ParamsError, match=r"training\.domains: expected null, because all tasks of 'rooms' share"):
        grid.cells(load(), "tiny")
    with pytest.raises(ParamsError, match=r"m\.batch_norm: expected shared, because all tasks of the data share"):
        with_norms({"batch_norm": "affine"}, domains=False, started=False, where="m")


def test_domains_have_statistics_of_their_own_unless_they_are_told_otherwise(shapes: Path, edit) -> None:
    edit("      linear: {}", "      wrn_split: {width: 0.0625}\n      told: {kind: wrn_split, batch_norm: shared}")
    found = {cell.model: cell.recipe.model.options.get("batch_norm") for cell in grid.cells(load(), "tiny")}
    assert found == {"linear_single": None, "wrn_split": "statistics", "told": "shared"}
    assert with_norms({"batch_norm": None}, domains=False, started=False, where="") == {"batch_norm": "shared"}
    assert with_norms({"batch_norm": None}, domains=True, started=True, where="") == {"batch_norm": "shared"}


def test_the_code_of_a_domain_s_task_is_part_of_the_record(shapes: Path) -> None:
    cell = grid.cell(load(), "tiny/linear/equal/seed0")
    assert "tasks/classification.py" in code.of_training(cell.recipe)


def test_a_report_of_domains_shows_images_with_their_classes(shapes: Path, edit) -> None:
    edit("{equal: {}}", "{equal: {}, dwa: {}}")
    edit(
        "baseline: linear_single",
        "baseline: linear_single\n    baseline_errors: {digits: 0.4, solids: 0.4, textures: 0.4}",
    )
    cells = grid.cells(load(), "tiny")
    for cell in cells:
        assert run_cell(cell, load().runtime) == "complete"
    pipeline.aggregate(load(), "tiny")
    pipeline.report(load(), "tiny")
    folder = places.report("tiny")
    drawn = {path.stem for path in (folder / "figures").glob("*.png")}
    assert {"panel_linear.equal", "panel_linear_single.single"} <= drawn
    assert not {name for name in drawn if name.startswith(("compare_", "legend"))}  # those are about maps
    table = (folder / "table.csv").read_text()
    for task in ("Digits", "Solids", "Textures"):
        assert f"{task}: Top-1 [%]" in table
    page = (folder / "index.html").read_text()
    assert "score of the Visual Decathlon" in page
    assert "one forward pass on one image of each domain." in page
    assert " S ↑ " in (folder / "table.md").read_text().splitlines()[0]
    assert_score(cells, dict.fromkeys(("digits", "solids", "textures"), 0.4))
    assert "confusion_domains" in page
    assert "critical_difference" in page  # of three rows, though no image has all tasks
    assert "Top-1" in page


def assert_score(cells: list[grid.Cell], single: dict[str, float]) -> None:
    """S in summary.csv and table.csv, computed here from the files of the runs."""
    with (places.summary("tiny") / "summary.csv").open() as file:
        found = {row["weighting"]: row for row in csv.DictReader(file) if row["metric"] == "decathlon_score"
                 and row["rule"] == "reported"}  # fmt: skip
    assert found.keys() == {"single-task", "equal", "dwa"}
    with (places.report("tiny") / "table.csv").open() as file:
        shown = {row["Weighting"]: row["S ↑"] for row in csv.DictReader(file)}
    for weighting, row in found.items():
        own = [cell for cell in cells if (cell.weighting if len(cell.tasks) > 1 else "single-task") == weighting]
        errors = {}
        for cell in own:
            reported = read_json(cell.folder / "metrics.json")["reported"]
            errors |= {task: 1 - values["top1"] for task, values in reported.items()}
        expected = sum(1000 * max(0, 1 - errors[task] / (2 * single[task])) ** 2 for task in single)
        assert float(row["value"]) == pytest.approx(expected)
        assert row["higher_is_better"] == "True"
        assert shown[weighting] == f"{expected:.0f}"
