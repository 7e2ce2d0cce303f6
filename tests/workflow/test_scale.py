"""Grids of hundreds of runs: planning stays a matter of seconds."""

import importlib.util
import sys

import pytest


@pytest.fixture(scope="module")
def scale(repository):
    """The module benchmarks/scale.py."""
    spec = importlib.util.spec_from_file_location("scale", repository / "benchmarks/scale.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scale"] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def plan(stubs):
    """The processor seconds of a dry run: they hardly depend on what else the machine does."""
    return stubs.run("snakemake", "--profile", "workflow/profiles/local", "-n").cpu


@pytest.mark.slow
def test_planning_hundreds_of_runs_takes_seconds(scale, tmp_path) -> None:
    """A dry run of 1000 cells is wanted within 10 s; 4 s were measured, and 2.4 s for 300.

    No ratio of two such times is asked for: chance moves each by half a second.
    """
    many = scale.make(tmp_path, 600)
    assert plan(many) < 10
    many.finish()
    assert plan(many) < 10
    many.run("mtlbench", "verify")


def test_stub_cells_pass_for_finished_ones(scale, tmp_path) -> None:
    """Otherwise the benchmark would measure something else."""
    stubs = scale.make(tmp_path, 20)
    stubs.finish()
    stubs.run("mtlbench", "verify")
    done = stubs.run("snakemake", "--profile", "workflow/profiles/local", "-n")
    assert "Nothing to be done" in done.output
    first = next((stubs.folder / "results/cells").rglob("history.csv"))
    first.write_bytes(first.read_bytes()[:-1])
    with pytest.raises(RuntimeError, match=r"history\.csv: its content changed"):
        stubs.run("mtlbench", "verify")
