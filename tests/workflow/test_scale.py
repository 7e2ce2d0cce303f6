"""Grids of hundreds of runs: planning stays a matter of seconds, and grows no faster than the grid."""

import importlib.util
import sys

import pytest

from mtlbench.plan import places


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


def plan(scale, stubs):
    """The processor seconds of a dry run, the least of three: chance only adds, up to a second."""
    return min(cost.cpu for _ in range(3) for cost in scale.measure_planning(stubs).values())


@pytest.mark.slow
def test_planning_time_grows_with_the_grid_and_no_faster(scale, tmp_path) -> None:
    """A dry run of 1000 cells is wanted within 10 s; 3.5 s were measured, 2.8 s for 500 and 2.0 s for 20."""
    base, medium = (plan(scale, scale.make(tmp_path / str(count), count)) for count in (20, 500))
    many = scale.make(tmp_path / "many", 1000)
    pending = plan(scale, many)
    assert pending < 10
    # Twice the cells: at most thrice the time above that of a small grid, with half a second for chance.
    assert pending - base < 3 * (medium - base) + 0.5
    many.finish()
    assert plan(scale, many) < 10
    many.run("mtlbench", "verify")


def test_stub_cells_pass_for_finished_ones(scale, tmp_path) -> None:
    """Otherwise the benchmark would measure something else."""
    stubs = scale.make(tmp_path, 20)
    stubs.finish()
    stubs.run("mtlbench", "verify")
    done = stubs.run(*scale.DRY_RUN)
    assert "Nothing to be done" in done.output
    first = next((stubs.folder / places.CELLS).rglob("history.csv"))
    first.write_bytes(first.read_bytes()[:-1])
    with pytest.raises(RuntimeError, match=r"history\.csv: its content changed"):
        stubs.run("mtlbench", "verify")
