"""The rooms of docs/architecture.md: imports point downwards, nothing in a circle, every package says what it is."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Rooms from the bottom up; those of one line must not import each other.
FLOORS = (
    {"system"},
    {"plan", "metrics", "maps"},
    {"tasks", "models", "weightings", "runs"},
    {"datasets"},
    {"training", "listing", "diagrams"},
    {"report", "inference"},
    {"verify", "pipeline"},
    {"reproduce"},
    {"cli"},
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


@pytest.fixture(scope="module")
def imports(repository: Path) -> dict[str, set[str]]:
    """{module: modules of the project that it imports anywhere}."""
    source = repository / "src"
    paths = sorted((source / "mtlbench").rglob("*.py"))
    modules = {".".join(p.relative_to(source).with_suffix("").parts).removesuffix(".__init__"): p for p in paths}
    found: dict[str, set[str]] = {}
    for name, path in modules.items():
        wanted = set()
        for node in _at_run_time(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                wanted |= (inside & modules.keys()) or {node.module}
            elif isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
        found[name] = (wanted & modules.keys()) - {"mtlbench", name}
    return found


def _at_run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield node
            yield from _at_run_time(node)


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
    """A package's __init__ is the face of its modules, so it does not count as a step of a circle."""
    faces = {name for name in imports if any(other.startswith(f"{name}.") for other in imports)}
    waiting = {name: others - faces for name, others in imports.items() if name not in faces}
    while waiting:
        free = [name for name, others in waiting.items() if not others & waiting.keys()]
        assert free, f"a circle among {sorted(waiting)}"
        for name in free:
            del waiting[name]


def test_every_package_says_what_lives_in_it(repository: Path) -> None:
    for folder in {path.parent for path in (repository / "src" / "mtlbench").rglob("*.py")}:
        text = (folder / "__init__.py").read_text(encoding="utf-8")
        assert len(ast.get_docstring(ast.parse(text)) or "") > 30, folder.name


def test_the_documented_rooms_are_those_of_the_code(repository: Path) -> None:
    text = (repository / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.split("## The rooms")[1].split("## The way")[0]
    assert {name for name in FLOOR if f"`{name}/`" in table or f"`{name}`" in table} == set(FLOOR)
