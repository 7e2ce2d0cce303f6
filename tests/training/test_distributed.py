"""Two processes compute what one computes, and a run of two is as robust as a run of one."""

import copy
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mtlbench import pipeline
from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.plan.places import work_folder
from mtlbench.plan.registry import entries
from mtlbench.system.errors import DivergedError, ParamsError
from mtlbench.system.files import read_json
from mtlbench.training import checkpoint
from mtlbench.training.cell import run_cell
from mtlbench.training.processes.connected import Connected
from mtlbench.training.processes.launch import device_names, launch
from mtlbench.training.processes.ranks import ALONE
from mtlbench.training.processes.sharded import Sharded

from .conftest import CELL, contents, forget

#: Fixed weights, learned ones, a method of the Gram matrix, one that also draws numbers, one that computes the losses
#: again after the step.
CHOSEN = ["equal", "uncertainty", "upgrad", "pcgrad", "famo"]
HERE = Path(__file__).parent


def program(name: str, *arguments: str) -> list[str]:
    """The command of a program beside this file."""
    return [sys.executable, str(HERE / name), *arguments]


#: Plain descent by small steps: Adam would make whole steps of the rounding of a gradient that is zero (that of a bias
#: before BatchNorm), and after long steps the network's own chaos shows.
OPTIMIZER = "{name: sgd, learning_rate: 1.0e-4, weight_decay: 0.0}"


def compare(edit, model: str, weightings: list[str]) -> None:
    """Train each weighting in one and in two processes with the same batches of three images, and compare.

    Both networks are float64 and mostly differ by 1e-13 in their weights; but the losses are float32, so that a value
    half-way between two moves a loss and a task's weight by 1e-7, and what is made of differences of losses by more
    (the state of FAMO). The biases of BatchNorm start at 0, so they are sums of gradients: a mistake in a mean, a mask
    or a sum would change their first digits.
    """
    options = dict.fromkeys(("auto_lambda", "moml"), ", held_out_share: 0.34") | {"ldc_mtl": ", router: true"}
    blocks = "".join(f"      w_{name}: {{kind: {name}{options.get(name, '')}}}\n" for name in weightings)
    edit("      equal: {}\n      dwa: {temperature: 2.0}\n", blocks)
    edit("      segnet_split: {width: 0.0625}\n", f"      m: {model}\n")
    edit("augmentation: null", "augmentation: {scales: [1.0, 1.2], flip: true}")
    edit("{name: adam, learning_rate: 1.0e-3, weight_decay: 0.0}", OPTIMIZER)
    edit("batch_size: 2", "batch_size: 3")
    edit("train: 6", "train: 9")
    edit("epochs: 3", "epochs: 2")
    pipeline.prepare(load(), "rooms")
    paths = [f"tiny/m/w_{name}/seed0" for name in weightings]
    run = subprocess.run(program("two_processes.py", *paths), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    problems = []
    for path in paths:
        one, two = (torch.load(Path(count) / path.replace("/", "-") / "found.pt") for count in ("1", "2"))
        for row, other in zip(one["rows"], two["rows"], strict=True):
            wrong = [name for name in row if other[name] != pytest.approx(row[name], rel=1e-5, abs=1e-7)]
            problems += [f"{path}: {name} is {other[name]}, expected {row[name]}" for name in wrong]
        for part, tolerance in (("model", 2e-6), ("weighting", 1e-4)):
            for name, value in one[part].items():
                if value.numel() == 0:
                    continue
                # A bias before BatchNorm never leaves the rounding of 0: nothing to be relative to.
                mine, other = value.double(), two[part][name].double()
                difference = (other - mine).abs().max().item() / max(mine.abs().max().item(), 1e-6)
                if difference > tolerance:
                    problems.append(f"{path}: {name} differs by {difference:.1e} of its largest value")
        moved = [(value - one["start"][name]).abs().max() / value.abs().max() for name, value in one["model"].items()]
        assert max(moved) > 1e-3, "the tolerance must be small beside what training changes"
    assert not problems, "\n".join(problems)


def test_two_processes_give_the_numbers_of_one(project, edit) -> None:
    compare(edit, "{kind: segnet_split, width: 0.0625}", CHOSEN)


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one_with_every_other_weighting(project, edit) -> None:
    # What needs single-task results has nothing else to exchange than the gradients of every gradient method.
    others = [name for name, one in entries("weightings").items() if not one.constants.get("wants_reference")]
    compare(edit, "{kind: segnet_split, width: 0.0625}", [name for name in others if name not in CHOSEN])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_dropout_takes_its_slice_of_one_mask(layout) -> None:
    image = torch.randn(5, 3, 4, 6).contiguous(memory_format=layout)
    torch.manual_seed(7)
    whole, after = torch.nn.Dropout(0.3)(image), torch.rand(1)
    for rank in (0, 1):
        ranks = Connected(rank, 2, images=len(image))
        network = Sharded(torch.nn.Sequential(torch.nn.Dropout(0.3)), ranks)
        torch.manual_seed(7)
        assert torch.allclose(network.model(image[ranks.own]), whole[ranks.own], rtol=1e-6)
        assert torch.equal(torch.rand(1), after), "the next draw must be the same on all processes"


@pytest.mark.slow
def test_a_network_with_dropout_gives_the_numbers_of_one_process(project, edit) -> None:
    compare(edit, "{kind: resnet_split, depth: 18, dropout: 0.5}", ["rlw"])


def test_batchnorm_over_processes_is_batchnorm_of_the_whole_batch() -> None:
    done = subprocess.run(program("two_batchnorms.py"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def cell(project, edit) -> grid.Cell:
    """A cell of two processes, six images in batches of four: shares of 2 + 2 and of 1 + 1."""
    edit("drop_last: false", "drop_last: false\n      processes: 2")
    edit("batch_size: 2", "batch_size: 4")
    pipeline.prepare(load(), "rooms")
    return grid.cell(load(), CELL)


def trained_with_signal(*arguments: str) -> subprocess.CompletedProcess:
    """Train the cell in processes of which one gets a signal; all of them are gone at the end."""
    here = str(Path.cwd())
    before = processes_in(here)
    done = subprocess.run(program("killed_process.py", CELL, *arguments), capture_output=True, text=True, timeout=120)
    end = time.monotonic() + 5
    while left := processes_in(here) - before:
        assert time.monotonic() < end, f"processes {left} are still there"
        time.sleep(0.05)
    return done


def processes_in(folder: str) -> set[str]:
    """Numbers of the processes that work in a folder."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.readlink(process / "cwd") == folder:
                found.add(process.name)
    return found


@pytest.mark.slow
def test_killed_and_stopped_runs_continue_to_the_same_bytes(cell, caplog) -> None:
    assert run_cell(cell, load().runtime) == "complete"
    expected = contents(cell)
    assert read_json(cell.manifest)["processes"] == 2
    assert [path.name for path in work_folder(cell.key).glob("state-*")] == []
    forget(cell)

    killed = trained_with_signal("SIGKILL", "0", "parent", "1", "0")
    assert killed.returncode == -signal.SIGKILL
    assert checkpoint._found(work_folder(cell.key))[0].name[:20] == "state-000001-000000."

    stopped = trained_with_signal("SIGTERM", "0", "parent", "1", "0")
    assert "Interrupted: stopped by SIGTERM in epoch 2 after step 1" in stopped.stderr
    assert checkpoint._found(work_folder(cell.key))[0].name[:20] == "state-000001-000001."
    assert not cell.manifest.exists()

    caplog.set_level("INFO", "mtlbench")
    run_cell(cell, load().runtime)
    assert "continuing in epoch 2 after step 1" in caplog.text
    assert contents(cell) == expected


@pytest.mark.slow
def test_a_killed_process_ends_the_run_within_seconds(cell) -> None:
    done = trained_with_signal("SIGKILL", "1", "self", "1", "0")
    assert "process 2 of 2 of this training run was ended by SIGKILL" in done.stderr
    failure = work_folder(cell.key) / "failure.json"
    assert "process 2 of 2" in read_json(failure)["reason"]
    assert failure.stat().st_mtime - Path("signalled").stat().st_mtime < 10


@pytest.mark.slow
def test_nan_is_named_and_can_be_recorded(cell, edit) -> None:
    edit("dwa: {temperature: 2.0}", "dwa: {kind: uncertainty, start: -1000.0}")
    cell = grid.cell(load(), CELL)
    with pytest.raises(DivergedError, match="NaN or infinite at epoch 1"):
        run_cell(cell, load().runtime)
    assert run_cell(cell, load().runtime, record_divergence=True) == "diverged"
    assert "NaN or infinite at epoch 1" in read_json(cell.manifest)["reason"]


def test_batches_need_an_image_for_each_process() -> None:
    Connected(0, 2).check_batches([4, 2])
    with pytest.raises(ParamsError, match="each of the 2 processes in every step, found a batch of 1"):
        Connected(0, 2).check_batches([4, 1])


@pytest.mark.slow
def test_a_step_without_an_image_for_each_process_is_refused(cell, edit) -> None:
    edit("train: 6", "train: 5")
    pipeline.prepare(load(), "rooms")
    cell = grid.cell(load(), CELL)
    with pytest.raises(ParamsError, match="each of the 2 processes in every step, found a batch of 1"):
        run_cell(cell, load().runtime)
    assert not cell.folder.exists()


def test_one_process_changes_no_key(project, edit) -> None:
    plain = grid.cell(load(), CELL)
    edit("drop_last: false", "drop_last: false\n      processes: 1")
    assert grid.cell(load(), CELL).key == plain.key
    edit("processes: 1", "processes: 2")
    assert grid.cell(load(), CELL).key != plain.key


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("processes: 2", "processes: 0", "processes: .* greater than or equal to 1, found 0"),
        ("processes: 2", "processes: 3", "a batch of 2 has no image for each of the 3 processes"),
        ("gpu: 0", "gpu: 1", "resources.gpu: expected a GPU for each of the 2 processes .*, found 1"),
    ],
)
def test_impossible_numbers_of_processes_are_refused(project, edit, old: str, new: str, message: str) -> None:
    edit("drop_last: false", "drop_last: false\n      processes: 2")
    load()
    edit(old, new)
    with pytest.raises(ParamsError, match=message):
        load()


@pytest.mark.parametrize(
    ("setting", "gpus", "message"),
    [
        ({"compile": True, "device": "cpu"}, 0, "runtime.compile: expected false"),
        ({"device": "cuda"}, 1, "expected at most the 1 GPUs that are free here, found 2"),
        ({"device": "cuda:0"}, 2, "'cuda:0' is one GPU, but training.processes is 2"),
    ],
)
def test_devices_that_two_processes_cannot_have(project, monkeypatch, setting, gpus: int, message: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(ParamsError, match=message):
        device_names(load().runtime.model_copy(update=setting), 2)


def test_processes_get_a_gpu_each(project, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert device_names(load().runtime.model_copy(update={"device": "auto"}), 2) == ["cuda:0", "cuda:1"]


def test_layers_that_would_see_only_their_own_images_are_refused() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Dropout2d(0.5))
    with pytest.raises(ParamsError, match=r"supports BatchNorm2d .* and Dropout, found Dropout2d"):
        Sharded(network, Connected(0, 2))


def test_images_are_dealt_out_nearly_evenly() -> None:
    for images in range(2, 20):
        for count in range(2, images + 1):
            slices = [Connected(0, count, images=images).slice_of(rank) for rank in range(count)]
            assert [i for part in slices for i in range(images)[part]] == list(range(images))
            assert {part.stop - part.start for part in slices} <= {images // count, -(-images // count)}


def test_one_process_is_the_trivial_case_of_several() -> None:
    seen = []
    launch(["cpu"], lambda ranks, device, *rest: seen.append((ranks, device, os.getpid(), rest)), "cell")
    assert seen == [(ALONE, "cpu", os.getpid(), ("cell",))], "in this process"
    network, weighting = torch.nn.Linear(2, 2), SimpleNamespace()
    assert ALONE.spread(network, weighting) is network
    assert vars(weighting) == {}, "nothing is added up"
    gradient = torch.ones(3)
    ALONE.all_reduce([gradient])
    assert gradient.tolist() == [1, 1, 1]
    assert (ALONE.agree("SIGTERM"), ALONE.agree(None)) == ("SIGTERM", None)
    assert (ALONE.first, ALONE.starter, copy.deepcopy(ALONE) is ALONE) == (True, os.getpid(), True)
    ALONE.check_batches([1])
    with ALONE.first_ahead():
        pass
    others = {name for name in vars(Connected) if not name.startswith("_")} - {"asked"}
    assert others <= set(dir(ALONE)), "whatever a trainer asks of several processes it can ask of one"


def test_a_single_device_may_be_any_and_compiled(project) -> None:
    runtime = load().runtime.model_copy(update={"device": "cuda:1", "compile": True})
    assert device_names(runtime, 1) == ["cuda:1"]
