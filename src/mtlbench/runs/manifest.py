"""The manifest of a finished piece of work: its only reader, its only writer, and the only check of digests.

``manifest.<key>.json`` is the last file that a job writes. It is one flat JSON object: ``key`` and ``spec`` (what
the result depends on), ``outputs`` (digest and size of every file, by its name below the folder), where it comes from
(``versions``, ``commit``, ``source``), and facts that differ from kind to kind (a cell's status, cost, data ...).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from mtlbench.plan import keys
from mtlbench.plan.grid import Cell
from mtlbench.plan.keys import Spec
from mtlbench.plan.recipe import Recipe
from mtlbench.system.errors import DamagedError
from mtlbench.system.files import digest, read_json, write_json

#: What a file differs in, in words.
MISSING, CHANGED = "missing", "its content changed"
#: Where a number comes from.
_PROVENANCE = ("versions", "commit", "source")
#: The fact that names the ordinary cell that was trained for one whose setting others gave: its key, its spec, and the
#: digest of what the setting is from.
TRAINED_AS = "trained_as"
#: The status of a trial that is at a rung, or did not go on from one.
STOPPED = "stopped"
#: Facts that every cell's manifest has.
_CELL = ("status", "data", "dataset")


@dataclass(frozen=True)
class Output:
    """One file of a result as it was when the result was finished."""

    sha256: str
    bytes: int

    @classmethod
    def of(cls, path: Path) -> "Output":
        """The digest and size of a file."""
        return cls(digest(path), path.stat().st_size)

    def problem(self, path: Path, quick: bool = False) -> str | None:
        """MISSING or CHANGED, None when ``path`` is this file; ``quick`` looks at its size only."""
        if not path.is_file():
            return MISSING
        same = path.stat().st_size == self.bytes and (quick or digest(path) == self.sha256)
        return None if same else CHANGED


@dataclass(frozen=True)
class Manifest:
    """What a finished piece of work says of itself."""

    path: Path
    key: str
    spec: Spec
    outputs: Mapping[str, Output]
    facts: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, facts: Sequence[str] = ()) -> "Manifest":
        """The manifest at ``path``; DamagedError when it is none, or is without one of ``facts``.

        Manifests come from other machines (`dvc pull`, a shared store), and the names of outputs are joined to
        folders: a name that would lead out of its folder is refused.
        """
        record = read_json(path)
        try:
            outputs = {name: Output(str(one["sha256"]), int(one["bytes"])) for name, one in record["outputs"].items()}
            rest = {name: value for name, value in record.items() if name not in ("key", "spec", "outputs")}
            provenance = {name: rest.pop(name) for name in _PROVENANCE if name in rest}
            found = cls(Path(path), str(record["key"]), dict(record["spec"]), outputs, rest, provenance)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedError(path, f"{type(error).__name__}: {error}") from None
        if missing := [name for name in facts if name not in rest]:
            raise DamagedError(path, f"without {', '.join(missing)}")
        for name in outputs:
            if not _stays_inside(name):
                raise DamagedError(path, f"expected plain file names under outputs, found '{name}'")
        return found

    @cached_property
    def recipe(self) -> Recipe:
        """What a cell was trained from; DamagedError when the spec does not say it."""
        try:
            return Recipe.of(self.trained_spec)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise DamagedError(self.path, f"what its spec says at '{where}'") from None

    @property
    def trained_spec(self) -> Spec:
        """The spec of what was trained: the cell's own, or the one with the setting that others gave (derived.py)."""
        taken = self.facts.get(TRAINED_AS)
        return dict(taken["spec"]) if isinstance(taken, Mapping) and isinstance(taken.get("spec"), dict) else self.spec

    @property
    def record(self) -> dict[str, Any]:
        """Facts and provenance together with key and spec: all but the outputs."""
        return {**self.facts, **self.provenance, "key": self.key, "spec": self.spec}

    @property
    def status(self) -> str:
        """ "complete", "diverged" for a training that met NaN, or STOPPED."""
        return str(self.facts.get("status", "complete"))

    @property
    def reason(self) -> str:
        """Why it is not complete, "" when it is."""
        return str(self.facts.get("reason") or "")

    @property
    def data(self) -> Mapping[str, str]:
        """{array: SHA-256} of the prepared arrays that a cell has read."""
        data = self.facts.get("data")
        return data if isinstance(data, dict) else {}

    def save(self) -> Path:
        """Write it to ``path``, atomically."""
        outputs = {name: vars(output) for name, output in self.outputs.items()}
        write_json(self.path, {**self.record, "outputs": outputs})
        return self.path

    def problems(self, place: Callable[[str], Path] | None = None, quick: bool = False) -> dict[Path, str]:
        """{file: MISSING or CHANGED} of the outputs that are not what they were.

        ``place`` gives the path of an output by its name, by default beside the manifest.
        """
        where = place or (lambda name: self.path.parent / name)
        found = {where(name): output.problem(where(name), quick) for name, output in self.outputs.items()}
        return {path: wrong for path, wrong in found.items() if wrong is not None}


def read_cell(cell: Cell) -> Manifest:
    """The manifest of a finished cell; DamagedError, also when it is another key's or its spec no cell's."""
    found = Manifest.read(cell.manifest, _CELL)
    _ = found.recipe
    if found.key != cell.key:
        raise DamagedError(cell.manifest, f"it says that its key is {found.key}")
    return found


def write(
    folder: Path,
    spec: Spec,
    outputs: Mapping[str, Path],
    facts: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``manifest.<key>.json`` into ``folder``; ``outputs`` are digested by name. It must be the last file."""
    return draft(folder, spec, outputs, facts, provenance).save()


def draft(
    folder: Path,
    spec: Spec,
    outputs: Mapping[str, Path],
    facts: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Manifest:
    """What ``write`` writes, not yet written."""
    key = keys.key(spec)
    digests = {name: Output.of(path) for name, path in outputs.items()}
    return Manifest(Path(folder) / keys.manifest_name(key), key, spec, digests, facts or {}, provenance or {})


def unequal_data(read: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Sentences on cells that read other bytes of an array than another one; ``read`` is {cell: {array: digest}}."""
    found = []
    first: dict[str, tuple[str, str]] = {}  # {array: (the first cell that read it, digest)}
    for path, data in read.items():
        other = [first[name][0] for name, value in data.items() if first.setdefault(name, (path, value))[1] != value]
        if other:
            found.append(f"{path}: it was trained on other data than {other[0]}; prepare and train one of them again")
    return found


def find(folder: Path) -> Path | None:
    """The manifest in ``folder``, or None. A folder holds at most one complete result."""
    return min(Path(folder).glob("manifest.*.json"), default=None)


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts
