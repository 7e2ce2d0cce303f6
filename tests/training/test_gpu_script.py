"""The script for a machine with a GPU, on a CPU: every part runs, and what is wrong is told."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mtlbench import pipeline
from mtlbench.plan.params import load


@pytest.fixture
def gpu(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module benchmarks/gpu.py, whose projects are only pretended."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    found = importlib.import_module("gpu")
    monkeypatch.setattr(found.projects, "make", lambda folder, *_, **changes: folder)
    monkeypatch.setattr(found.projects, "run", lambda *_: None)
    monkeypatch.setattr(found.projects, "kill", lambda *_: True)
    monkeypatch.setattr(found.projects, "facts", lambda *_: {"seconds_total": 1.0})
    return found


def main(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, out: Path, *arguments: str) -> int:
    """The exit code of the command."""
    monkeypatch.setattr("sys.argv", ["gpu", "--device", "cpu", "--out", str(out), *arguments])
    return gpu.main()


@pytest.mark.parametrize("other", ["one", "two", "killed"])
def test_other_bytes_are_told(gpu: ModuleType, monkeypatch, tmp_path: Path, other: str) -> None:
    monkeypatch.setattr(gpu.projects, "outputs", lambda folder, path: {"model": folder.name.endswith(f"-{other}")})
    assert main(gpu, monkeypatch, tmp_path, "bytes", "--modes", "float32", "tf32") == 1
    answers = {"one": ("NO", "NO"), "two": ("NO", "yes"), "killed": ("yes", "NO")}[other]
    text = (tmp_path / "bytes.md").read_text()
    assert f"| float32 | 1.0 | {answers[0]} | {answers[1]} |" in text
    assert "Left out: tf32: a precision of GPUs" in text
    assert "SOMETHING IS WRONG" in text


def test_a_part_that_fails_stops_no_other_and_one_without_time_says_so(gpu, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpu.projects, "kill", lambda folder, path: "float32" not in folder.name)
    monkeypatch.setattr(gpu.projects, "outputs", lambda *_: {})
    assert main(gpu, monkeypatch, tmp_path, "bytes", "train", "--modes", "float32", "bfloat16", "--project",
                str(tmp_path), "--cell", "none/m/w/seed0") == 1  # fmt: skip
    text = (tmp_path / "bytes.md").read_text()
    assert "float32: the run ended before it was killed" in text
    assert "| bfloat16 | 1.0 | yes | yes |" in text
    assert "FileNotFoundError" in (tmp_path / "train.md").read_text()
    assert main(gpu, monkeypatch, tmp_path, "cells", "--minutes", "-1") == 0
    assert "Left out: 1 at once: the time of this part was over" in (tmp_path / "cells.md").read_text()


def test_a_python_without_the_packages_is_told_what_it_lacks(repository: Path, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    command = ["bash", str(repository / "benchmarks/gpu.sh"), "tests"]
    done = subprocess.run(command, env=os.environ | {"PYTHON": str(bare)}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "this Python lacks filelock numpy pydantic rich ruamel.yaml safetensors torch" in done.stderr


def test_runs_at_once_and_in_two_processes_are_beside_one(gpu: ModuleType, monkeypatch, tmp_path: Path) -> None:
    started = []
    monkeypatch.setattr(gpu.projects, "run_at_once", lambda folder, paths: started.append(len(paths)))
    monkeypatch.setattr(gpu.projects, "facts", lambda *_: {"seconds_total": 2.0 + started[-1]})
    monkeypatch.setattr(gpu.projects, "losses", lambda folder, _: [2.0, 2.5 if folder.name == "processes-2" else 2.0])
    assert main(gpu, monkeypatch, tmp_path, "cells", "processes") == 0
    assert started == [1, 2]
    cells, processes = ((tmp_path / f"{name}.md").read_text() for name in ("cells", "processes"))
    assert "| 1 | 3.0 | 1.00 |" in cells
    assert "| 2 | 4.0 | 1.50 |" in cells
    assert "| 1 | 4.0 | 0.0e+00 |" in processes
    assert "| 2 | 4.0 | 2.5e-01 |" in processes


@pytest.mark.slow
def test_parts_run_on_a_cpu(project: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Those that have the most to go wrong; all six take two minutes of a processor."""
    pipeline.prepare(load(), "rooms")
    out = tmp_path_factory.mktemp("gpu")
    command = ["bash", str(repository / "benchmarks/gpu.sh"), "bytes", "roofline", "train", "--device", "cpu",
               "--out", str(out), "--modes", "float32", "--project", str(project), "--epochs", "1",
               "--cell", "tiny/segnet_split/equal/seed0"]  # fmt: skip
    environment = os.environ | {"PYTHON": sys.executable}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {path.stem: path.read_text() for path in out.glob("*.md")}
    assert found.keys() == {"bytes", "roofline", "train"}
    rows = {name: [line.split(" | ") for line in text.splitlines() if line[:2] == "| "] for name, text in found.items()}
    assert rows["bytes"][2][2:] == ["yes", "yes |"]
    assert "| segnet_split" in found["roofline"]
    assert rows["train"][2][0] == "| tiny/segnet_split/equal/seed0"
    assert float(rows["train"][2][4]) > 0
