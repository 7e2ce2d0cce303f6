"""`mtlbench export`: a trained network as one file for other programs, with its card beside it."""

from collections.abc import Callable
from pathlib import Path

from mtlbench.inference.card import card
from mtlbench.inference.exported import SUFFIXES, onnx_file, torch_file
from mtlbench.inference.find import find
from mtlbench.inference.load import build
from mtlbench.system.errors import ParamsError, nearest
from mtlbench.system.files import atomic_writer, write_text

_FILE = {"torch": torch_file, "onnx": onnx_file}


def export(source: str, to: str, out: Path | None, say: Callable[[str], None]) -> Path:
    """Write the network ``source`` in the format ``to`` (torch or onnx), and its card; returns the file's path.

    ``out`` is the file, by default ``<model>-<key>`` with the format's suffix in the working directory.
    """
    if to not in _FILE:
        raise ParamsError(f"--to: unknown format '{to}'. {nearest(to, _FILE)}")
    if Path(source).is_file() and Path(source).suffix in SUFFIXES.values():
        raise ParamsError(f"{source}: expected a cell or a checkpoint file, found a network that is exported already")
    found = find(source)
    kind = found.description.recipe.model.kind
    path = out or Path(f"{kind}-{found.description.key}{SUFFIXES[to]}")
    if path.suffix != SUFFIXES[to]:
        raise ParamsError(f"--out: expected a file name that ends with {SUFFIXES[to]}, found '{path}'")
    content = _FILE[to](build(found.weights, found.description), found.description)
    with atomic_writer(path) as file:
        file.write(content)
    trained = "" if Path(source).exists() else f"mtlbench train {source}\n"  # by the cell's name
    command = f"{trained}mtlbench export {source} --to {to}"
    write_text(path.with_suffix(".md"), card(found.description, found.manifest, command))
    say(f"{path} ({path.stat().st_size / 1e6:.1f} MB), {path.with_suffix('.md')}")
    return path
