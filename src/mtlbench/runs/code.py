"""Which code the numbers of a cell depend on, file by file, and what of it is other than today's.

Found without running anything: from the cell's entries and from the training loop, imports are followed through the
project (and through extensions) in the source text. A file counts by what it computes: comments, docstrings and layout
do not change its digest. What decides only where, when and whether a cell is run is left out (:data:`_APART`).
"""

import ast
import functools
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mtlbench.plan import extensions
from mtlbench.plan.recipe import Recipe
from mtlbench.plan.registry import entries
from mtlbench.runs.manifest import Manifest

#: {file below the package or an extension: 16 digits}.
Code = dict[str, str]

#: Where training starts, and what several processes add to it.
_TRAINING, _SEVERAL = "mtlbench.training.run", "mtlbench.training.processes.connected"
#: Beside a dataset's own file: how its images become arrays.
_PREPARATION = "mtlbench.datasets.prepared.fill"
#: Rooms and modules that no number depends on, or through the spec alone (plan: keys tell of it).
_APART = (
    "mtlbench.plan", "mtlbench.runs", "mtlbench.system", "mtlbench.report",
    "mtlbench.datasets.raw.accounts", "mtlbench.datasets.raw.download", "mtlbench.datasets.raw.files",
    "mtlbench.datasets.raw.http", "mtlbench.datasets.raw.packages", "mtlbench.datasets.raw.progress",
    "mtlbench.training.watch", "mtlbench.training.progress", "mtlbench.training.checkpoint",
    "mtlbench.training.saving", "mtlbench.training.state", "mtlbench.training.usable", "mtlbench.training.segments",
    "mtlbench.training.processes.signals", "mtlbench.training.processes.launch",
)  # fmt: skip

#: Constants of entries that say something to people and compute nothing.
_TOLD = ("display", "display_with", "paper_title")


def of_training(recipe: Recipe) -> Code:
    """The code of a cell's training: that of its model, its weighting and its tasks, and the training loop.

    A task that has another name than its file is a domain: then all files of tasks about classes count.
    """
    known = entries("tasks")
    about_classes = [name for name, one in known.items() if one.constants.get("predicts") == "classes"]
    tasks = {file for name in recipe.tasks for file in ([name] if name in known else about_classes)}
    parts = {"models": [recipe.model.kind], "weightings": [recipe.weighting.kind], "tasks": sorted(tasks)}
    modules = [f"mtlbench.{kind}.{name}" for kind, names in parts.items() for name in names]
    several = [_SEVERAL] if recipe.training.processes > 1 else []
    return _digests((_TRAINING, *several, *modules), extensions.folders())


def of_dataset(module: str) -> Code:
    """The code that prepares a dataset whose class is in this module."""
    return _digests((module, _PREPARATION), extensions.folders())


def differences(manifest: Manifest) -> list[str]:
    """The files of today's code that are not as a finished cell was made with, by its manifest; sorted.

    Every part of a run that was continued counts, and the preparation of its data. Nothing recorded: nothing found.
    DamagedError when the manifest's spec is not a cell's.
    """
    parts = [part["code"] for part in manifest.facts.get("segments", ()) if "code" in part]
    pairs = [(recorded, of_training(manifest.recipe)) for recorded in parts]
    data = manifest.facts.get("data_code", {})
    if data.get("files"):
        pairs.append((data["files"], of_dataset(f"mtlbench.datasets.{data['kind']}")))
    return sorted({name for old, new in pairs for name in old.keys() | new.keys() if old.get(name) != new.get(name)})


#: Changed files that a reader is told by name.
_NAMED = 3


def remedy(path: str, files: Sequence[str]) -> str:
    """What a reader is told of a cell, by its path, whose code differs in these files."""
    prepare = any(name.startswith("datasets/") for name in files)
    first = "`mtlbench prepare --again` its dataset, then " if prepare else ""
    more = f" and {len(files) - _NAMED} more files" if len(files) > _NAMED else ""
    told = ", ".join(files[:_NAMED])
    return f"made with other code than today's in {told}{more}; {first}`mtlbench train --again {path}`"


@functools.cache
def _digests(modules: tuple[str, ...], _folders: tuple[Path, ...]) -> Code:
    """{file: digest} of everything that the modules import, each file read once in a process."""
    seen: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path = None if module in seen or _apart(module) else _file(module)
        if path is not None:
            seen[module] = path
            waiting += _read(module, path)[1]
    return {_name(path): _read(module, path)[0] for module, path in sorted(seen.items())}


@functools.cache
def _read(module: str, path: Path) -> tuple[str, tuple[str, ...]]:
    """(digest of what the file computes, the modules of the project that it imports)."""
    content = path.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # a file that is being edited
        return hashlib.sha256(content).hexdigest()[:16], ()
    digest = hashlib.sha256(repr(_normal(tree)).encode()).hexdigest()[:16]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return digest, tuple(dict.fromkeys(_imports(tree, package)))


def _normal(node: Any) -> Any:
    """What a syntax tree says, in the same form for every version of Python: no positions, docstrings, empty fields."""
    if isinstance(node, list):
        return [_normal(item) for item in node if not (_is_text(item) or _is_told(item))]
    if not isinstance(node, ast.AST):
        return node
    left_out = ("ctx", "kind", "type_comment", "type_ignores")
    fields = [(name, value) for name, value in ast.iter_fields(node) if name not in left_out]
    # The value of a constant counts also where it is empty.
    kept = [(n, _normal(v)) for n, v in fields if isinstance(node, ast.Constant) or (v is not None and v != [])]
    return (type(node).__name__, kept)


def _is_text(node: Any) -> bool:
    """A docstring, or a string that stands alone."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_told(node: Any) -> bool:
    """The assignment of a name or a title for people (:data:`_TOLD`)."""
    if not isinstance(node, (ast.Assign, ast.AnnAssign)):
        return False
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return all(isinstance(target, ast.Name) and target.id in _TOLD for target in targets)


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _inside(alias.name))
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            if _inside(source):
                yield from (_home(source, alias.name) for alias in node.names)


def _home(module: str, name: str) -> str:
    """The module that defines ``name``, which is imported from ``module``: itself one, or what a package passes on."""
    if _file(f"{module}.{name}") is not None:
        return f"{module}.{name}"
    path = _file(module)
    if path is not None and path.name == "__init__.py":
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.module and not node.level and _inside(node.module):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return _home(node.module, alias.name)
    return module


@functools.cache
def _file(module: str) -> Path | None:
    """The source of a module of the project or of an extension."""
    parts = module.split(".")
    if not _inside(module):
        return None
    for root in (extensions.package(), *extensions.folders()):
        below = root.joinpath(*parts[1:])
        for path in (below.with_suffix(".py"), below / "__init__.py"):
            if path.is_file() and len(parts) > 1:
                return path
    return None


def _inside(module: str) -> bool:
    return module.split(".")[0] == "mtlbench"


def _apart(module: str) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in _APART)


def _name(path: Path) -> str:
    root = next(root for root in (extensions.package(), *extensions.folders()) if path.is_relative_to(root))
    return path.relative_to(root).as_posix()
