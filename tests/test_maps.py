"""The kinds of maps, and that nothing but a task's own file knows its name."""

import ast
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest

from mtlbench.datasets.prepared.layout import maps_of
from mtlbench.datasets.prepared.statistics import describe, sums_of
from mtlbench.maps import Classes, Directions, Distances, Labels, Maps, Values
from mtlbench.plan import extensions
from mtlbench.plan.registry import entries
from mtlbench.system.errors import ParamsError
from mtlbench.tasks import make_tasks


def test_no_list_of_tasks_outside_of_their_files() -> None:
    """Only the tables of published numbers, which have columns for them, may name tasks."""
    tasks = set(entries("tasks"))
    found = []
    for room in ("training", "plan", "runs", "system", "report", "datasets/prepared"):
        for path in sorted((extensions.package() / room).rglob("*.py")):
            names = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
            found += [f"{path.name}: {name}" for name in tasks & {name for name in names if isinstance(name, str)}]
    assert [line for line in found if not line.startswith(("published.py", "published_nyud.py"))] == []


def test_an_unknown_task_is_named_with_the_known_ones() -> None:
    with pytest.raises(ParamsError, match=r"unknown task 'dept'\. Did you mean 'depth'"):
        maps_of({"dept": {}})


@pytest.mark.parametrize(
    ("maps", "image", "words"),
    [
        (Values(number=2), np.full((2, 2, 2), 1.5, np.float16), r"must lie in 0\.\.1, found 1\.5\.\.1\.5"),
        (Values(lowest=-1), np.full((1, 2, 2), -0.5, np.float16), "^$"),
        (Values(invalid=9.0), np.array([[[9.0, 0.5]]], np.float16), "^$"),
        (Values(), np.full((1, 2, 2), np.inf, np.float16), "holds 4 values that are NaN or infinite"),
        (Labels(("a", "b")), np.array([[-1, 1]], np.int8), "^$"),
        (Labels(("a", "b")), np.array([[-1, 2]], np.int8), r"must lie in -1\.\.1, found -1\.\.2"),
        (Distances(), np.array([[[0, -1]]], np.float16), "must not be negative"),
        (Classes(("a", "b")), np.array(-1, np.int16), "^$"),
        (Classes(("a", "b")), np.array(2, np.int16), r"must lie in -1\.\.1, found 2"),
        (Directions(), np.zeros((3, 1, 1), np.float16), "^$"),
    ],
)
def test_what_maps_may_hold(maps: Maps, image: np.ndarray, words: str) -> None:
    assert re.search(words, maps.problem(image))


def test_statistics_leave_invalid_values_out() -> None:
    maps = {"own": Values(number=2, lowest=0, highest=8, invalid=0.0)}
    array = np.array([[[[0, 2, 4]], [[0, 0, 8]]]], np.float16)  # one image, two channels, three pixels
    found = describe([sums_of({"own": array}, maps)], maps)["own"]
    assert found["mean"] == [3.0, 4.0]
    assert (found["min"], found["max"]) == (0.0, 8.0)
    assert found["invalid_share"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("name", ["segmentation", "depth", "inverse_depth", "normals"])
def test_a_task_draws_its_own_legend(name: str) -> None:
    arguments = {"classes": 3, "class_names": ["a", "b", "c"]} if name == "segmentation" else {}
    task = make_tasks({name: arguments})[name]
    for text, stored in task.legend():
        assert text
        assert stored.dtype == task.maps.dtype
        assert task.maps.problem(stored[0] if task.maps.channels == 0 else stored) == ""
        assert task.draw(stored).shape == (1, stored.shape[-1], 3)


def test_the_processes_that_prepare_do_not_import_torch() -> None:
    code = "import sys, pickle; pickle.loads(bytes.fromhex(sys.argv[1])); print('torch' in sys.modules)"
    content = pickle.dumps([Labels(("a",)), Directions(), Values(number=2)]).hex()
    assert subprocess.check_output([sys.executable, "-c", code, content], text=True).strip() == "False"
