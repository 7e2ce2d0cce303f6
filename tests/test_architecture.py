"""The rooms of docs/architecture.md: imports point downwards, nothing in a circle, every package says what it is."""

import ast
import subprocess
import sys
from collections.abc import Mapping, Set
from pathlib import Path

import pytest

#: Rooms from the bottom up; those of one line must not import each other.
FLOORS = (
    {"system"},
    {"plan", "metrics", "maps"},
    {"tasks", "models", "weightings", "runs"},
    {"datasets"},
    {"training", "listing", "diagrams"},
    {"report"},
    {"inference"},
    {"verify", "pipeline", "sharing"},
    {"reproduce"},
    {"cli"},
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


@pytest.fixture(scope="module")
def imports(repository: Path) -> dict[str, set[str]]:
    """{module: modules of the project that it imports anywhere, in functions and for a type checker too}."""
    source = repository / "src"
    paths = sorted((source / "mtlbench").rglob("*.py"))
    modules = {".".join(p.relative_to(source).with_suffix("").parts).removesuffix(".__init__"): p for p in paths}
    texts = {name: path.read_text(encoding="utf-8") for name, path in modules.items()}
    return {name: imported(text, modules.keys()) - {"mtlbench", name} for name, text in texts.items()}


def imported(text: str, modules: Set[str]) -> set[str]:
    """Those of the modules that a source text imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inside & modules) or {node.module or ""}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & modules


def circle(imports: Mapping[str, set[str]]) -> set[str]:
    """The modules that are in a circle, or import one that is; none where there is no circle."""
    waiting = dict(imports)
    while free := [name for name, others in waiting.items() if not others & waiting.keys()]:
        for name in free:
            del waiting[name]
    return set(waiting)


def room(module: str) -> str:
    return module.split(".")[1]


def test_every_room_has_its_floor(imports: dict[str, set[str]]) -> None:
    assert {room(name) for name in imports if name != "mtlbench"} == set(FLOOR)


def test_imports_between_rooms_point_downwards(imports: dict[str, set[str]]) -> None:
    upward = [
        f"{name} imports {other}"
        for name, others in imports.items() if name != "mtlbench"
        for other in sorted(others)
        if room(name) != room(other) and FLOOR[room(other)] >= FLOOR[room(name)]
    ]  # fmt: skip
    assert upward == []


def test_no_circle(imports: dict[str, set[str]]) -> None:
    assert circle(imports) == set()


def test_a_circle_is_seen_also_where_only_a_type_checker_goes_round() -> None:
    late = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.loop import Trainer\n"
    texts = {"p": "", "p.state": late, "p.loop": "def f():\n    import p.state\n", "p.other": "from p import state"}
    found = {name: imported(text, texts.keys()) for name, text in texts.items()}
    assert found == {"p": set(), "p.state": {"p.loop"}, "p.loop": {"p.state"}, "p.other": {"p.state"}}
    assert circle(found) == {"p.state", "p.loop", "p.other"}
    assert circle(found | {"p.loop": set()}) == set()


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("mtlbench.cli, mtlbench.plan.summaries, mtlbench.runs.status, mtlbench.runs.prune, mtlbench.listing", "torch"),
        ("mtlbench.report.rows.collect, mtlbench.report.rows.files", "matplotlib, seaborn, scipy"),
        ("mtlbench.models.split_vgg, mtlbench.models.segnet_mtan, mtlbench.training.cell", "torchvision, matplotlib"),
    ],
)
def test_a_verb_starts_without_what_it_does_not_need(modules: str, heavy: str) -> None:
    """Planning starts without torch, a summary without figures, a network without torchvision where it takes none."""
    code = f"import sys, {modules}; print([name for name in '{heavy}'.split(', ') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_package_says_what_lives_in_it(repository: Path) -> None:
    for folder in {path.parent for path in (repository / "src" / "mtlbench").rglob("*.py")}:
        text = (folder / "__init__.py").read_text(encoding="utf-8")
        assert len(ast.get_docstring(ast.parse(text)) or "") > 30, folder.name


def test_the_documented_rooms_are_those_of_the_code(repository: Path) -> None:
    text = (repository / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.split("## The rooms")[1].split("## The way")[0]
    assert {name for name in FLOOR if f"`{name}/`" in table or f"`{name}`" in table} == set(FLOOR)
