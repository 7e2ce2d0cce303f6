"""Which file a person means by a cell's name, a folder or a file, and what the network in it is."""

import difflib
from pathlib import Path
from typing import NamedTuple

from mtlbench.plan import places
from mtlbench.plan.keys import manifest_name
from mtlbench.runs import manifest as manifests
from mtlbench.runs.manifest import STOPPED, Manifest
from mtlbench.runs.store import WEIGHTS
from mtlbench.system.errors import DamagedError, DataError
from mtlbench.system.files import read_json
from mtlbench.system.words import be, many
from mtlbench.training.description import Description, describe

#: Depth of ``experiment/model/weighting/seed<n>``.
_PARTS = 4
_NONE = f"no cell is finished here (no folder {places.CELLS}/...)"


class Found(NamedTuple):
    """The file with the weights, what it is, and the manifest of its cell where that is there."""

    weights: Path
    description: Description
    manifest: Manifest | None


def find(source: str | Path) -> Found:
    """The network of a cell's name, a cell's folder or a checkpoint file.

    A folder is one of results/cells, of checkpoints or of the store, in any checkout. Checkpoints that were written
    before they said what they are (version 0.1) are described by the manifest of their cell. Raises DataError, also for
    weights of a cell that are not those of its manifest.
    """
    path = Path(source)
    if not path.exists():
        path = places.cell(str(source).strip("/"))
        if not path.is_dir():
            raise DataError(f"{source}: expected a cell's name or folder, or a file with a network. {_known(source)}")
    cell, checkpoint = _homes((path.parent if path.is_file() else path).resolve())
    weights = path if path.is_file() else checkpoint / WEIGHTS[0]
    manifest = manifests.find(cell)
    if not weights.is_file():
        raise DataError(_without_weights(source, weights, manifest))
    found = Description.in_checkpoint(weights)
    if found is not None and (own := cell / manifest_name(found.key)).is_file():
        manifest = own  # and no other that was left in the folder
    record = Manifest.read(manifest) if manifest is not None else None
    if record is not None and weights.resolve() == checkpoint / WEIGHTS[0]:
        output = record.outputs.get(WEIGHTS[0])
        if wrong := output.problem(weights) if output else None:
            raise DamagedError(weights, wrong)
        found = found or _by_manifest(record, cell)
    if found is None:
        raise DataError(
            f"{weights}: it does not say which network it holds (written by version 0.1 or another program); give the "
            "folder of its cell in results/cells instead"
        )
    return Found(weights, found, record if record is not None and record.key == found.key else None)


def _homes(folder: Path) -> tuple[Path, Path]:
    """(folder with the manifest, folder with the weights) of a cell one of whose folders is ``folder``."""
    path = "/".join(folder.parts[-_PARTS:])
    for home in (places.CELLS, places.CHECKPOINTS):
        above = folder.parents[_PARTS - 1] if len(folder.parents) >= _PARTS else folder
        if above.parts[-len(home.parts) :] == home.parts:
            root = above.parents[len(home.parts) - 1]
            return root / places.cell(path), root / places.weights(path)
    return folder, folder  # of the store, or a file that was carried away


def _by_manifest(manifest: Manifest, cell: Path) -> Description:
    try:
        return describe(manifest.trained_spec, manifest.facts, read_json(cell / "metrics.json")["reported"])
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(manifest.path, f"{type(error).__name__}: {error}") from None


def _without_weights(source: str | Path, weights: Path, manifest: Path | None) -> str:
    if manifest is None:
        return f"{source}: expected a finished cell, found no network ({weights} is absent). {_known(source)}"
    if (status := Manifest.read(manifest).status) != "complete":
        why = "was stopped early" if status == STOPPED else "diverged"
        return f"{source}: its training {why}, so there is no network"
    return f"{source}: its weights are absent ({weights}). `dvc pull`, or delete {manifest} to train it again"


def _known(source: str | Path) -> str:
    """What the person may have meant, and the command that trains another cell."""
    known = [path.relative_to(places.CELLS).as_posix() for path in places.CELLS.glob("/".join(["*"] * _PARTS))]
    name = str(source).strip("/")
    near = difflib.get_close_matches(name, known, n=1)
    found = f"{many(len(known), 'cell')} {be(len(known))} finished here" if known else _NONE
    guess = f"Did you mean '{near[0]}'? ({found}.)" if near else f"{found[0].upper()}{found[1:]}."
    named = name.count("/") == _PARTS - 1
    train = f"`mtlbench train {name}` trains it" if named else "`mtlbench list cells` names those of params.yaml"
    return f"{guess} {train}."
