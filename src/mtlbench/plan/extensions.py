"""Folders of the user's own, outside the package, with models/, weightings/, datasets/ or tasks/ like the package's.

Which folders they are is told by params.yaml (``extensions:``) and kept in the environment, so that every process that
this one starts (forked, spawned, another command) knows them, whatever its working directory. An entry
``FOLDER/weightings/mine.py`` is the module ``mtlbench.weightings.mine``, as if it lay in the package: it is pickled,
imported and named like a shipped one. A name that is taken is therefore refused.
"""

import functools
import os
import re
import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

import mtlbench
from mtlbench.system.errors import ParamsError

KINDS = ("datasets", "tasks", "models", "weightings")
#: The environment variable with the folders, absolute.
VARIABLE = "MTLBENCH_EXTENSIONS"

_NAME = re.compile(r"[a-z_][a-z0-9_]*")


def folders() -> tuple[Path, ...]:
    """The folders in use, in the order of params.yaml."""
    return tuple(Path(folder) for folder in os.environ.get(VARIABLE, "").split(os.pathsep) if folder)


def use(names: Sequence[str], base: Path) -> None:
    """Take entries from these folders (relative to ``base``) and from no others; ParamsError tells what is wrong."""
    found: list[Path] = []
    for number, name in enumerate(names):
        folder = (base / Path(name).expanduser()).resolve()
        where = f"extensions[{number}]"
        if not folder.is_dir():
            raise ParamsError(f"{where}: expected a folder, found '{name}' (no folder {folder})")
        if not any((folder / kind).is_dir() for kind in KINDS):
            raise ParamsError(f"{where}: expected a folder with {', '.join(KINDS)} or some of them, found {folder}")
        if folder in found or os.pathsep in str(folder):
            what = "is listed twice" if folder in found else f"has a '{os.pathsep}' in its path"
            raise ParamsError(f"{where}: expected other folders, each once; {folder} {what}")
        found.append(folder)
    for kind in KINDS:
        _check_names(kind, found)
    os.environ.pop(VARIABLE, None)
    if found:
        os.environ[VARIABLE] = os.pathsep.join(map(str, found))


def files(kind: str) -> list[Path]:
    """The files of all entries of a kind, the package's first."""
    return [path for root in (package(), *folders()) for path in sorted((root / kind).glob("[!_]*.py"))]


def package() -> Path:
    """The folder of the package's own source."""
    return Path(mtlbench.__file__).parent


def names(paths: Iterable[Path]) -> dict[Path, str]:
    """A name for each folder for people and manifests: its last part, numbered where two have the same."""
    result: dict[Path, str] = {}
    for path in paths:
        same = sum(other.name == path.name for other in result)
        result[path] = f"{path.name} ({same + 1})" if same else path.name
    return result


def _check_names(kind: str, found: list[Path]) -> None:
    taken: dict[str, Path] = {}
    for root in (package(), *found):
        for path in sorted((root / kind).glob("*")):
            if path.name.startswith(("__", ".")) or not (path.suffix == ".py" or path.is_dir()):
                continue
            if root in found and not _NAME.fullmatch(path.stem):
                raise ParamsError(f"extensions: expected a name of lower-case letters, digits and _, found {path}")
            if path.stem in taken:
                raise ParamsError(f"extensions: the name of {path} is taken by {taken[path.stem]}; rename the former")
            taken[path.stem] = path


class _Finder(MetaPathFinder):
    """Finds ``mtlbench.<kind>.<name>`` in the folders in use, after the package itself."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        parts = fullname.split(".")
        if len(parts) != 3 or parts[0] != "mtlbench" or parts[1] not in KINDS:
            return None
        return PathFinder.find_spec(fullname, [str(folder / parts[1]) for folder in folders()])


@functools.cache
def install() -> None:
    """Let the import system look into the folders (`import mtlbench` does it)."""
    sys.meta_path.append(_Finder())
