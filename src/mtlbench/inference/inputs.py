"""The pictures that a person names by files and folders."""

from collections.abc import Sequence
from pathlib import Path

from mtlbench.datasets.raw.photos import SUFFIXES
from mtlbench.system.errors import DataError


def pictures_of(sources: Sequence[Path]) -> dict[str, Path]:
    """{a name for the files of its results: picture} of files, and of folders' pictures in the order of their names.

    The name is the file's without its suffix; where it is taken, a number follows. Raises DataError for a path that is
    not there, and for a folder without a picture.
    """
    found: dict[str, Path] = {}
    for source in sources:
        for path in _pictures(source):
            name, number = path.stem, 1
            while name in found:
                number += 1
                name = f"{path.stem}_{number}"
            found[name] = path
    return found


def not_looked_into(sources: Sequence[Path]) -> list[Path]:
    """The folders with pictures that lie in a named folder; a person may have expected them to count."""
    inner = (path for source in sources if source.is_dir() for path in sorted(source.iterdir()) if path.is_dir())
    return [folder for folder in inner if folder not in sources and _inside(folder)]


def _pictures(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise DataError(f"{source}: expected a picture or a folder of pictures, found no such file")
    if inside := _inside(source):
        return inside
    inner = ", ".join(str(path) for path in not_looked_into([source]))
    raise DataError(
        f"{source}: expected a folder of pictures, found none with {', '.join(SUFFIXES)}"
        + (f"; there are some in {inner}" if inner else "")
    )


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
