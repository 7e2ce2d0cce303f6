"""Fixtures shared by all tests."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mtlbench.plan import extensions, places
from mtlbench.plan.registry import entries

REPOSITORY = Path(__file__).resolve().parents[1]
#: {start of a test's name: tests that share it run in one process}, because what they all use takes a minute to build.
#: (The marker xdist_group does nothing with pytest 9.2 and xdist 3.8.)
TOGETHER = {
    "tests/workflow/test_dag": "dag",
    "tests/workflow/test_dvc": "dvc",
    "tests/workflow/test_bundles": "bundles",
    "tests/report/": "report",
    "tests/training/test_several": "several",
    "tests/inference/": "inference",
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """A scheduler that keeps the tests of TOGETHER together, for `--dist loadgroup`."""
    if config.getoption("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((group for start, group in TOGETHER.items() if nodeid.startswith(start)), nodeid)

    return Together(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--extension FOLDER`: only the contract tests of the entries in that folder (`make test-extension`)."""
    parser.addoption("--extension", help="run the contract tests of the entries in this folder, and nothing else")


def pytest_configure(config: pytest.Config) -> None:
    """Take entries from the folder of --extension before the tests ask which entries there are."""
    if folder := config.getoption("extension"):
        extensions.use([folder], Path.cwd())


def pytest_runtest_setup() -> None:
    """With MTLBENCH_TESTS_END (seconds since 1970) no test starts after that moment: CI's time is limited."""
    if time.time() > float(os.environ.get("MTLBENCH_TESTS_END", "inf")):
        pytest.skip("no time left (MTLBENCH_TESTS_END)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest, those of torch.compile, come last, where the time may be over."""
    if config.getoption("extension"):
        own = {(kind, name) for kind in extensions.KINDS for name, one in entries(kind).items() if not one.shipped}
        items[:] = [item for item in items if _is_about(item, own)]
    items.sort(key=lambda item: "compile" in item.name)


def _is_about(item: pytest.Item, own: set[tuple[str, str]]) -> bool:
    """Whether a test is run for one of these entries (kind, name)."""
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    kind = parameters.get("kind") if item.path.stem == "test_registry" else item.path.parent.name
    return (kind, parameters.get("name")) in own


@pytest.fixture(scope="session", autouse=True)
def _threads() -> None:
    """Two threads per test process at most, and what xdist's processes leave for each; of commands that it starts too.

    Threads that wait for one another are busy: more of them than processors take several times as long.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    threads = max(1, min(2, torch.get_num_threads(), (os.cpu_count() or 1) // workers))
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _determinism() -> Iterator[None]:
    """The same random numbers whichever tests ran before; what a training run switches on ends with its test.

    A deep network of a few channels has, for some draws of its weights, maps that are constant but for
    their rounding: their maxima are then where the rounding puts them, and no two formulas agree.
    """
    torch.manual_seed(0)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that is tested."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real raw files beside the checkout; tests that need it skip without it."""
    folder = Path(os.environ.get("MTLBENCH_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real raw files at {folder} (set MTLBENCH_SHARED to their folder)")
    return folder


TINY = """
run: [tiny]
runtime: {device: cpu, threads: 1, workers: 1, checkpoint_seconds: 0, compile: false, data: auto}
datasets:
  rooms: {kind: rooms, height: 32, width: 32, train: 6, test: 3, seed: 1}
protocols: {}
trainings: {}
grids: {}
experiments:
  tiny:
    title: Tiny
    dataset: rooms
    tasks: [segmentation, depth, normals]
    protocol: {name: paper, last_epochs: 2}
    baseline: segnet_single
    models:
      segnet_single: {width: 0.0625}
      segnet_split: {width: 0.0625}
    weightings:
      equal: {}
      dwa: {temperature: 2.0}
    seeds: [0]
    training:
      epochs: 3
      batch_size: 2
      optimizer: {name: adam, learning_rate: 1.0e-3, weight_decay: 0.0}
      schedule: {name: constant}
      drop_last: false
      precision: float32
      augmentation: null
    resources: {gpu: 0, memory_mb: 1000, minutes: 5}
"""


@pytest.fixture(scope="session")
def tiny() -> str:
    """The tiny params.yaml."""
    return TINY


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder with a tiny params.yaml, made the working directory."""
    (tmp_path / "params.yaml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(places.STORE_VARIABLE, raising=False)
    return tmp_path


@pytest.fixture
def edit(project: Path):
    """A function that replaces text in the project's params.yaml; the text must be there once."""

    def replace(old: str, new: str) -> None:
        text = (project / "params.yaml").read_text()
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
        (project / "params.yaml").write_text(text.replace(old, new))

    return replace


SEARCH = """    search:
      trials: 3
      epochs: 2
      held_out: 0.34
      rule: primary_gain
      space:
        optimizer:
          learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}
          weight_decay: {values: [0.0, 1.0e-5]}
"""


@pytest.fixture
def search(edit):
    """``edit`` of a project whose experiment has a search: rows equal, dwa, static and dwa's mean weights."""
    edit("    resources:", f"{SEARCH}    resources:")
    edit("      dwa: {temperature: 2.0}\n", "      dwa: {}\n      static: {}\n      frozen: {of: dwa}\n")
    return edit
