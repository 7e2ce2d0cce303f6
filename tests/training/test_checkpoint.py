"""Checkpoints: whose they are, what cannot be used, and what a manifest tells of a continued run."""

import hashlib
import io
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mtlbench import pipeline
from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.plan.places import work_folder
from mtlbench.plan.registry import entries
from mtlbench.runs import provenance
from mtlbench.system.errors import Interrupted
from mtlbench.system.files import read_json
from mtlbench.training import checkpoint, loop, state
from mtlbench.training.build import make_trainer
from mtlbench.training.cell import run_cell
from mtlbench.training.saving import resume
from mtlbench.training.trainer import Trainer
from mtlbench.training.usable import problem

from .conftest import CELL, contents, forget, rewrite

CPU = torch.device("cpu")


@pytest.fixture
def cell(project) -> grid.Cell:
    pipeline.prepare(load(), "rooms")
    return grid.cell(load(), CELL)


@pytest.fixture
def stop(stop) -> Callable[[grid.Cell], None]:
    """The shared one, which leaves two checkpoints."""

    def train(cell: grid.Cell) -> None:
        stop(cell)
        assert [path.name[6:19] for path in checkpoint._found(work_folder(cell.key))] == [
            "000001-000002",
            "000001-000000",
        ]

    return train


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def place(folder: Path, epoch: int, content: bytes) -> str:
    """Put a file of any content where a checkpoint would be, under a name whose digest is right; its name."""
    path = folder / f"state-{epoch:06d}-000000.{hashlib.sha256(content).hexdigest()[:16]}.pt"
    path.write_bytes(content)
    return path.name


def changed(whole: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The state with another value under a dotted name."""
    first, _, rest = name.partition(".")
    if isinstance(whole, list):
        return [changed(item, rest, value) if str(i) == first else item for i, item in enumerate(whole)]
    key = next((key for key in whole if str(key) == first), first)
    if not rest:
        return {**whole, key: value} if value is not ... else {k: v for k, v in whole.items() if k != key}
    return {**whole, key: changed(whole[key], rest, value)}


#: {what is changed in a whole state: (dotted name or "", the new value (... removes it), what is said)}
CHANGES: dict[str, tuple[str, Any, str]] = {
    "a part is missing": ("optimizer", ..., "lacks optimizer"),
    "a part has another type": ("rows", {}, "lacks rows"),
    "another form": ("format", 0, "has the form 0, this version reads 1"),
    "an old one without identity": ("key", ..., "lacks key"),
    "sums of another shape": (
        "meter.losses",
        torch.zeros(7),
        r"has sums losses as torch.float32 \(7,\), not",
    ),
    "sums of another type": ("meter.losses", torch.zeros(3).long(), "has sums losses as torch.int64"),
    "a sum too many": ("meter.more", torch.zeros(1), "has other parts of the sums: more"),
    "no counts of a task": ("meter.depth/count", ..., "has other parts of the sums"),
    "other tasks": ("bad", torch.zeros(2), r"has losses bad as torch.float32 \(2,\), not torch.int64 \(3,\)"),
    "a moment of another shape": (
        "optimizer.state.0.exp_avg",
        torch.zeros(2),
        "has moments of parameter 0: exp_avg as",
    ),
    "a moment that is a number": ("optimizer.state.0.exp_avg", 3, "has moments of parameter 0: exp_avg as int"),
    "a moment is missing": (
        "optimizer.state.0.exp_avg_sq",
        ...,
        "has other parts of the moments",
    ),
    "a parameter too many": ("optimizer.state.999", {}, "does not fit this network"),
    "a group too many": ("optimizer.param_groups", [], "has other parameters or options of the optimizer"),
    "an option is missing": ("optimizer.param_groups.0.betas", ..., "has other parameters or options"),
    "an option is another": ("optimizer.param_groups.0.weight_decay", 0.5, "has other parameters or options"),
    "a parameter is a tensor": ("optimizer.param_groups.0.params", [torch.zeros(5)], "has other parameters or options"),
    "a group of nothing": ("optimizer.param_groups", [3], "does not fit this network"),
    "weights are no tensors": ("model.extra", 3, "has other parts of the model: extra"),
    "epochs without rows": ("rows", [], "is at epoch 1, step 2 with 0 rows"),
    "more steps than an epoch has": ("step", 4, "is at epoch 1, step 4"),
    "rows without columns": ("rows", [{"epoch": 0}], "lacks numbers of its record"),
    "a row of text": ("rows.0.train_loss_depth", "x", "lacks numbers of its record"),
    "a best network that nobody asked for": ("best", {"epoch": 0, "model": {}}, "does not fit the protocol"),
    "no segments": ("segments", [], "lacks its segments"),
    "a segment that no manifest could hold": (
        "segments.0.threads",
        torch.ones(1),
        "does not fit .*not JSON",
    ),
    "seconds that no manifest could hold": ("seconds", float("nan"), "does not fit this network .ValueError"),
    "the position is text": ("step", "2", "lacks step"),
}


def test_every_kind_of_unusable_state_is_told_before_it_is_used(cell, stop) -> None:
    stop(cell)
    trainer, _ = make_trainer(cell, load().runtime, work_folder(cell.key))
    whole = torch.load(checkpoint._found(work_folder(cell.key))[0], weights_only=True)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    assert problem(trainer, whole) == ""
    first = next(iter(whole["model"]))
    cases = CHANGES | {
        "a weight of another shape": (f"model|{first}", torch.zeros(3), f"has model {first} as"),
        "a weight is missing": (f"model|{first}", ..., f"has other parts of the model: {first}"),
    }
    for what, (name, value, message) in cases.items():
        part, _, inner = name.partition("|")
        if inner:
            inside = {k: v for k, v in whole[part].items() if k != inner} | ({} if value is ... else {inner: value})
            broken = {**whole, part: inside}
        else:
            broken = changed(whole, name, value)
        assert re.search(message, problem(trainer, broken)), (what, problem(trainer, broken))
    for other in (None, 3, [], [whole], "state", torch.zeros(2)):
        assert problem(trainer, other) == f"holds a {type(other).__name__} and no state"
    for name, value in before.items():
        assert torch.equal(trainer.model.state_dict()[name], value), "looking at a state changes nothing"


def test_unusable_checkpoints_are_set_aside_and_the_one_before_is_used(cell, stop, caplog) -> None:
    run_cell(cell, load().runtime)
    expected = contents(cell)
    forget(cell)
    stop(cell)
    folder = work_folder(cell.key)
    whole = torch.load(checkpoint._found(folder)[0], weights_only=True)
    zipped = saved(whole | {"epoch": 10})
    bad = {
        place(folder, 9, b""): r"is no checkpoint \(EOFError\)",
        place(folder, 10, zipped[: len(zipped) // 2]): "is no checkpoint",
        place(folder, 11, saved([whole])): "holds a list and no state",
        place(folder, 12, b"\x80\x04K\x01."): "is no checkpoint|holds something else than tensors",
        place(folder, 13, saved(whole | {"epoch": 13, "step": 0})): "has other parts of the sums",
        place(folder, 14, saved(whole)): "holds another position than its name says",
        place(folder, 15, empty_zip()): "is no checkpoint|holds something else than tensors",
    }
    (folder / f"state-000020-000000.{'0' * 16}.pt").mkdir()
    caplog.set_level("INFO", "mtlbench")
    run_cell(cell, load().runtime)
    for name, message in bad.items():
        told = [text for text in caplog.messages if text.startswith(name)]
        assert len(told) == 1, name
        aside = f"set aside as unusable-{re.escape(name)}; the checkpoint before it is used"
        assert re.search(f"({message}).*: {aside}", told[0]), told
    assert "continuing in epoch 2 after step 2" in caplog.text
    assert contents(cell) == expected
    assert [path.name for path in folder.glob("*state-*.pt") if path.is_file()] == [], "the run is complete"


def empty_zip() -> bytes:
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()
    return buffer.getvalue()


def test_without_any_usable_checkpoint_the_run_starts_anew(cell, caplog) -> None:
    folder = work_folder(cell.key)
    folder.mkdir(parents=True)
    place(folder, 1, b"")
    place(folder, 2, saved({"epoch": 2, "step": 0}))
    caplog.set_level("INFO", "mtlbench")
    assert run_cell(cell, load().runtime) == "complete"
    assert f"{cell.path}: starting" in caplog.text
    assert "without one the run starts anew" in caplog.text


def test_the_state_of_another_seed_is_refused_by_name(cell, edit, stop, caplog) -> None:
    run_cell(cell, load().runtime)
    expected = contents(cell)
    forget(cell)
    edit("seeds: [0]", "seeds: [0, 1]")
    other = grid.cell(load(), CELL.replace("seed0", "seed1"))
    stop(other)
    shutil.copytree(work_folder(other.key), work_folder(cell.key))
    caplog.set_level("INFO", "mtlbench")
    run_cell(grid.cell(load(), CELL), load().runtime)
    assert f"belongs to another run ({other.path}, key {other.key}, not {cell.key}): set aside" in caplog.text
    assert f"{cell.path}: starting" in caplog.text
    assert contents(cell) == expected


def test_a_state_that_was_trained_on_other_data_is_refused(cell, stop, caplog) -> None:
    stop(cell)
    rewrite(cell, "train/depth.npy", np.load(cell.dataset.folder / "train/depth.npy") * np.float16(2))
    caplog.set_level("INFO", "mtlbench")
    run_cell(cell, load().runtime)
    assert caplog.text.count("was trained on other data (train/depth.npy)") == 2
    assert f"{cell.path}: starting" in caplog.text


def test_a_run_that_was_never_stopped_or_always_the_same_has_one_segment(cell, stop) -> None:
    stop(cell)
    run_cell(cell, load().runtime)
    manifest = read_json(cell.manifest)
    [segment] = manifest["segments"]
    assert (segment["epoch"], segment["step"]) == (0, 0)
    for name in ("source", "versions", "threads", "device", "compiled"):
        assert segment[name] == manifest[name], name


def test_code_and_threads_of_every_part_are_in_the_manifest(cell, edit, stop, monkeypatch, caplog) -> None:
    stop(cell)
    before = provenance.source_digest()
    monkeypatch.setattr(provenance, "source_digest", lambda *_: "f" * 16)
    edit("threads: 1", "threads: 2")
    caplog.set_level("INFO", "mtlbench")
    run_cell(cell, load().runtime)
    assert "continued with another device, source, threads than before" in caplog.text
    first, second = read_json(cell.manifest)["segments"]
    assert (first["epoch"], first["step"], first["source"], first["threads"]) == (0, 0, before, 1)
    assert (second["epoch"], second["step"], second["source"], second["threads"]) == (1, 2, "f" * 16, 2)


def stopped_after_a_step(cell: grid.Cell) -> tuple[Trainer, Trainer]:
    """A trainer that was stopped after its first step, and a new one that goes on from there."""
    folder = work_folder(cell.key)
    folder.mkdir(parents=True)
    trainer, _ = make_trainer(cell, load().runtime, folder)
    trainer.hooks.stop = lambda: "SIGTERM"
    with pytest.raises(Interrupted):
        loop.run(trainer)
    again, _ = make_trainer(cell, load().runtime, folder)
    assert resume(again), cell.path
    assert (again.epoch, again.step) == (0, 1)
    return trainer, again


@pytest.mark.parametrize(
    "optimizer", ["adamw, weight_decay: 0.1", "sgd, weight_decay: 0.0", "sgd, weight_decay: 0.0, momentum: 0.9"]
)
def test_states_of_every_optimizer_can_be_used(cell, edit, optimizer: str) -> None:
    edit("{name: adam, learning_rate: 1.0e-3, weight_decay: 0.0}", f"{{learning_rate: 1.0e-3, name: {optimizer}}}")
    trainer, again = stopped_after_a_step(grid.cell(load(), CELL))
    assert saved(state.take(again)["optimizer"]) == saved(state.take(trainer)["optimizer"])


@pytest.mark.slow
def test_states_of_every_weighting_can_be_used_in_the_middle_of_an_epoch(project, edit) -> None:
    options = {
        "auto_lambda": "held_out_share: 0.34",
        "moml": "held_out_share: 0.34",
        "static": "weights: {segmentation: 1.0, depth: 1.0, normals: 1.0}",
    }
    blocks = "".join(f"      {name}: {{{options.get(name, '')}}}\n" for name in entries("weightings"))
    edit("      equal: {}\n      dwa: {temperature: 2.0}\n", blocks)
    edit("{name: paper, last_epochs: 2}", "{name: held_out, share: 0.34}")  # as pivrg needs it
    pipeline.prepare(load(), "rooms")
    for task in ("segmentation", "depth", "normals"):
        run_cell(grid.cell(load(), f"tiny/segnet_single/only_{task}/seed0"), load().runtime)
    for name in entries("weightings"):
        cell = grid.cell(load(), f"tiny/segnet_split/{name}/seed0")
        trainer, again = stopped_after_a_step(cell)
        assert saved(state.take(again)["weighting"]) == saved(state.take(trainer)["weighting"]), name


def test_a_checkpoint_that_would_run_code_is_refused_and_the_one_before_it_used(tmp_path, caplog) -> None:
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "hacked"),))

    good = checkpoint.save(tmp_path, 1, 0, {"epoch": 1, "step": 0, "model": torch.ones(2)})
    content = io.BytesIO()
    torch.save({"model": Evil()}, content)
    evil = tmp_path / f"state-000002-000000.{hashlib.sha256(content.getvalue()).hexdigest()[:16]}.pt"
    evil.write_bytes(content.getvalue())
    state = checkpoint.load(tmp_path, CPU, lambda _: "")
    assert state is not None
    assert state["model"].tolist() == [1, 1]
    assert f"{evil.name} holds something else than tensors" in caplog.text
    left = {good.name, f"unusable-{evil.name}"}
    assert {path.name for path in tmp_path.iterdir()} == left, "no folder 'hacked', the file is set aside"
