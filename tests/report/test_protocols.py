"""benchmarks/protocols.py: the same rows of two experiments, their difference against independent arithmetic."""

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from mtlbench.report.evidence.statistics import image_weights
from mtlbench.report.rows.grid import load_grid
from mtlbench.report.rows.inputs import ReportInput
from mtlbench.system.errors import ParamsError

from .conftest import make_report, scenes


@pytest.fixture(scope="module")
def protocols(repository: Path) -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("protocols_bench", repository / "benchmarks" / "protocols.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ReportInput:
    """An experiment of two weightings; of one of them, as of an experiment of its own, below."""
    return make_report(tmp_path_factory.mktemp("one"), ("segnet_split",), ("equal", "dwa"), (0, 1, 2))


def only(report: ReportInput, weighting: str) -> ReportInput:
    """The multi-task row of that weighting, under the name "equal"."""
    cells = [replace(c, weighting="equal") for c in report.cells if c.weighting == weighting]
    return replace(report, cells=tuple(cells))


def test_a_difference_is_over_the_same_seeds_and_images(protocols: ModuleType, report: ReportInput) -> None:
    first, second = load_grid(only(report, "equal")), load_grid(only(report, "dwa"))
    found = {line.column.name: line for line in protocols.lines(first, second)}
    assert set(found) == {column.name for column in first.columns}
    line = found["depth_abs_error"]
    # By hand: mean error of each seed, paired, and of the same resampled images.
    sums = [[(a := c.per_image()["depth"])["abs"], a["count"]] for g in (first, second) for c in g.rows[0].done]
    values = np.array([total.sum() / count.sum() for total, count in sums]).reshape(2, 3)
    np.testing.assert_allclose([line.first, line.second], values, rtol=1e-6)
    weights = image_weights(np.arange(10))
    draws = np.array([(weights @ total) / (weights @ count) for total, count in sums]).reshape(2, 3, -1)
    paired, images = values[1] - values[0], (draws[1] - draws[0]).mean(0).var(ddof=1)
    middle = (line.interval[0] + line.interval[1]) / 2
    assert middle == pytest.approx(paired.mean(), rel=1e-6)
    half = line.interval[1] - middle
    # Never narrower than paired seeds alone would have it, and the images add to it.
    by_seeds = paired.var(ddof=1) / 3
    assert half > np.sqrt(by_seeds + images) * stats.norm.ppf(0.975)
    assert 0 < line.p_value < 1
    assert (line.p_value < 0.05) == (line.interval[0] > 0 or line.interval[1] < 0)


def test_an_experiment_beside_itself_differs_in_nothing(protocols: ModuleType, report: ReportInput) -> None:
    grid = load_grid(report)
    shown = protocols.table(list(protocols.lines(grid, grid)), ("a", "b"))
    assert len(shown) == 3 * len(grid.columns)  # the single-task row and two others
    assert {(line["a"] == line["b"], line["p"], line["p_holm"], line["seeds"]) for line in shown} == {
        (True, "1", "1", "3")
    }


def test_only_what_both_have_is_compared(protocols: ModuleType, report: ReportInput) -> None:
    short = replace(report, cells=tuple(c for c in report.cells if c.weighting == "dwa" and c.seed != 1))
    found = list(protocols.lines(load_grid(report), load_grid(short)))
    assert {(line.row.split(" · ")[-1].lower(), len(line.first)) for line in found} == {("dwa", 2)}
    alone = replace(short, cells=short.cells[:1])
    assert list(protocols.lines(load_grid(report), load_grid(alone))) == []


@pytest.mark.parametrize(
    ("names", "message"),
    [(("demo", "dema"), "Did you mean 'demo'"), (("rooms_zoom", "domains_demo"), "no row has finished runs")],
)
def test_a_wrong_use_is_one_sentence(repository: Path, tmp_path: Path, names: tuple[str, str], message: str) -> None:
    (tmp_path / "params.yaml").symlink_to(repository / "params.yaml")
    script = repository / "benchmarks" / "protocols.py"
    found = subprocess.run([sys.executable, script, *names], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == ParamsError.exit_code
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_other_test_images_are_refused(protocols: ModuleType, report: ReportInput, tmp_path: Path) -> None:
    other = make_report(tmp_path, ("segnet_split",), ("equal",), data=scenes(11, (24, 32)))
    with pytest.raises(ParamsError, match="do not have the same test images"):
        list(protocols.lines(load_grid(report), load_grid(other)))
