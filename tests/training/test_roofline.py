"""The benchmark of the machine and the models counts what it says, and shows it."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch

from mtlbench import pipeline
from mtlbench.models._cost import forward_flops
from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.training.build import make_trainer
from mtlbench.training.step import Part
from mtlbench.training.step import _losses as losses_of

CPU = torch.device("cpu")
CELL = "tiny/segnet_split/equal/seed0"


@pytest.fixture
def machine(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module benchmarks/machine.py, with work for milliseconds."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    found = importlib.import_module("machine")
    monkeypatch.setattr(found, "SIDE", {"cpu": 32})
    monkeypatch.setattr(found, "COPIED", {"cpu": 4096})
    monkeypatch.setattr(found, "CONVOLUTIONS", ((2, 4, 8, 8), (1, 8, 4, 4)))
    monkeypatch.setattr(found, "SHORTEST", 0.001)
    return found


@pytest.fixture
def roofline(machine: ModuleType) -> ModuleType:
    """The module benchmarks/roofline.py."""
    return importlib.import_module("roofline")


def test_the_best_time_counts_and_the_first_calls_do_not(machine: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    times, now = iter([0.5, 7.0, 9.0, 3.0, 5.0]), [0.0]
    monkeypatch.setattr(machine, "clock", lambda device: now[0])

    def work() -> None:
        now[0] += next(times)

    assert machine.seconds(work, CPU, 3) == 3.0
    assert now[0] == 24.5


def test_short_work_is_repeated_within_a_round(machine: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(machine, "SHORTEST", 1.0)
    monkeypatch.setattr(machine, "clock", lambda device: 0.25 * len(calls))
    assert machine.seconds(lambda: calls.append(0), CPU, 2) == 0.25
    assert len(calls) == 2 + 2 * 4


def test_limits_are_operations_and_bytes_by_seconds(machine: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "seconds", lambda work, device, rounds: work() is None or 2.0)
    found = machine.limits(CPU, "float32", 1)
    assert found == machine.Limits("float32", 32**3, max(2 * 8 * 8 * 16 * 9, 4 * 4 * 64 * 9), 4096)


def test_a_precision_that_the_device_lacks_is_not_measured(machine: ModuleType) -> None:
    assert machine.precisions(CPU) == ["float32", "bfloat16"]
    assert machine.precisions(torch.device("cuda")) == ["float32", "tf32", "bfloat16"]


def test_traffic_is_what_operations_read_and_write(machine: ModuleType) -> None:
    left, right = torch.ones(10, 6), torch.ones(10, 6, dtype=torch.float64)
    with machine.Traffic() as traffic:
        _ = left.T[2:4]
        assert traffic.bytes == 0
        _ = left + 1.0
        assert traffic.bytes == 2 * 240
        _ = torch.cat([left, right[:5].float()])
    assert traffic.bytes == 2 * 240 + (240 + 120) + (240 + 120 + 360)


def test_operations_are_those_of_the_network_forward_and_back(project, roofline: ModuleType, tmp_path: Path) -> None:
    pipeline.prepare(load(), "rooms")
    cell = grid.cell(load(), CELL)
    trainer, _ = make_trainer(cell, load().runtime, tmp_path)
    size = trainer.data.train_split.arrays["image"].shape[-2:]
    forward = forward_flops(trainer.model, tuple(size))
    first = next(module for module in trainer.model.modules() if isinstance(module, torch.nn.Conv2d))
    towards_the_image = 2 * size[0] * size[1] * first.weight.numel()  # the one product that a step does without

    found = roofline.measure(cell, load().runtime.model_dump(), "float32", 1)
    assert found.image.operations == forward
    batch = cell.recipe.training.batch_size
    assert found.step.operations == batch * (3 * forward - towards_the_image)
    assert found.step.bytes > sum(parameter.nbytes for parameter in trainer.model.parameters())
    assert found.parts.keys() == set(roofline.OUTSIDE)
    assert min(found.parts.values()) > 0
    assert found.memory > 2**26, "torch alone takes more"
    assert found.contiguous > 0
    assert found.described > 0


def test_the_described_step_computes_what_ours_does(project, edit, roofline: ModuleType, tmp_path: Path) -> None:
    """Losses and maps of the same network in another memory format, with pooling by index; and its step trains."""
    edit("segnet_split: {width: 0.0625}", "segnet_mtan: {width: 0.0625}")
    pipeline.prepare(load(), "rooms")
    trainer, _ = make_trainer(grid.cell(load(), "tiny/segnet_mtan/equal/seed0"), load().runtime, tmp_path)
    trainer.model.train()
    torch.use_deterministic_algorithms(False)
    chosen = trainer.steps_in(0)[0]
    parts = [Part(domain.tasks, trainer.data.train_split.batch(images)) for domain, images in chosen]
    plain = roofline.described.network(trainer.model)
    assert {type(module).__name__ for module in plain.modules()} >= {"IndexPool", "IndexUnpool"}
    assert not any("MaxPool" in type(module).__name__ for module in plain.modules())
    expected, found = trainer.model(parts[0].batch["image"]), plain(parts[0].batch["image"].contiguous())
    for task, output in expected.items():
        torch.testing.assert_close(found[task], output, rtol=1e-3, atol=1e-3)
    step = roofline.described.make_step(trainer, parts)
    first = step()
    assert first == pytest.approx([loss.item() for loss in losses_of(trainer, parts)[1]], rel=1e-4)
    assert step() != first, "it trains"


def test_helpers_of_a_network_are_part_of_its_losses(project, edit, roofline: ModuleType) -> None:
    edit("segnet_split: {width: 0.0625}", "pad_net: {width: 0.125, backbone: hrnet18s}")
    pipeline.prepare(load(), "rooms")
    cell = grid.cell(load(), "tiny/pad_net/equal/seed0")
    found = roofline.measure(cell, load().runtime.model_dump(), "float32", 1)
    assert min(found.parts.values()) > 0


def test_shares_are_of_the_two_limits(machine: ModuleType) -> None:
    work = machine.Work(seconds=2.0, operations=60, bytes=8)
    assert work.shares(machine.Limits("float32", 1000.0, 40.0, 16.0)) == (0.75, 0.25)


def run(roofline: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """The command on the tiny experiment."""
    monkeypatch.setattr("sys.argv", ["roofline", "--experiment", "tiny", "--rounds", "1", *arguments])
    roofline.main()


def test_the_command_shows_every_model_once(project, roofline: ModuleType, monkeypatch, capsys) -> None:
    # In this process: test_gpu_script.py runs the command as it is, with a process for each measurement.
    monkeypatch.setattr(roofline.Workers, "apply", lambda self, function, *arguments: function(*arguments))
    pipeline.prepare(load(), "rooms")
    run(roofline, monkeypatch, "--models", "segnet_split", "--width", "0.125")
    lines = [line.strip().strip("|") for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    found = [[cell.strip() for cell in line.split("|")] for line in lines if "---" not in line]
    assert [row[0] for row in found] == [
        "precision", "float32", "bfloat16", *["training", "segnet_split", "evaluation", "segnet_split"] * 2,
    ]  # fmt: skip
    for heads, row in zip(found[3::2], found[4::2], strict=True):
        assert len(row) == len(heads)
        assert all(float(cell.rstrip("%")) >= 0 for cell in row[1:])


def test_a_model_that_fails_stops_no_other_and_time_can_be_limited(
    project, roofline: ModuleType, monkeypatch, capsys
) -> None:
    limit = roofline.Limits("float32", 1.0, 1.0, 1.0)
    monkeypatch.setattr(roofline, "limits", lambda *_: limit)
    asked = []

    def apply(self: object, function: object, cell: grid.Cell, *_: object) -> None:
        asked.append(cell.model)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(roofline.Workers, "apply", apply)
    with pytest.raises(SystemExit, match=r"segnet_split, float32 failed: RuntimeError: out of memory"):
        run(roofline, monkeypatch, "--precisions", "float32")
    assert asked == ["segnet_single"] * 3 + ["segnet_split"]
    run(roofline, monkeypatch, "--precisions", "float32", "--models", "segnet_split", "--minutes", "-1")
    assert "no time left for segnet_split" in capsys.readouterr().out


def test_the_width_is_that_of_the_command(project, roofline: ModuleType, monkeypatch) -> None:
    taken = []
    monkeypatch.setattr(roofline, "models", lambda params, *_: taken.append(params) or [])
    run(roofline, monkeypatch, "--precisions", "float32", "--width", "2")
    assert {cell.recipe.model.options["width"] for cell in grid.cells(taken[0], "tiny")} == {2.0}
