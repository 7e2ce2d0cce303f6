"""Cells that take a setting from other results: what they train today, and whether a finished one took another.

A final run of a search takes what ``mtlbench select`` chose for its row; a frozen weighting takes the mean weights of
another run; a trial goes on from a rung when it was kept there, else it is what it was by then. The cell's key is a
function of those results' keys; what is trained is an ordinary cell, with a key of its own in the store, so the same
setting is never trained twice.
"""

import csv
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtlbench.plan import keys, places
from mtlbench.plan.grid import Cell
from mtlbench.plan.registry import entry
from mtlbench.plan.rows import RUNG, Chosen, MeanOf, Promoted
from mtlbench.runs.manifest import TRAINED_AS, Manifest
from mtlbench.system.errors import DamagedError, DataError, MtlbenchError
from mtlbench.system.files import read_json

#: The file of a selection beside its manifest.
SELECTION = "selection.json"
#: Facts of a run that also hold for one that could not be trained in its place.
_OF_DATA = ("data", "data_code", "dataset", "compiled", "processes")
_SHARED = (*_OF_DATA, "parameters", "flops", "training_flops")
#: Significant digits of mean weights, which people read.
_DIGITS = 6


class NothingToTrainError(MtlbenchError):
    """The results from which a cell takes its setting have none: they diverged. ``like`` is the manifest of one."""

    def __init__(self, message: str, like: Manifest) -> None:
        super().__init__(message)
        self.like = like


def resolved(cell: Cell) -> Cell:
    """The ordinary cell that is trained today for ``cell``: itself, or one with the setting that others gave.

    Raises DataError when these results are not there, DamagedError when they are not what their manifest says, and
    NothingToTrainError when they diverged.
    """
    _check_single(cell)
    if cell.source is None:
        return cell
    if isinstance(cell.source, MeanOf):
        spec = _averaged(cell, cell.source)
    else:
        spec = _chosen(cell, cell.source) if isinstance(cell.source, Chosen) else _promoted(cell, cell.source)
    return replace(cell, spec=spec, key=keys.key(spec), source=None)


def resolved_or_none(cell: Cell) -> Cell | None:
    """The same; None where nothing can be said yet."""
    with suppress(FileNotFoundError, MtlbenchError):
        return resolved(cell)
    return None


def facts(cell: Cell, trained: Cell) -> dict[str, Any]:
    """What the manifest of ``cell`` says of the cell that was trained for it."""
    if cell.source is None:
        return {}
    source = _source(cell)
    return {TRAINED_AS: {"key": trained.key, "spec": trained.spec, "from": _digest(source)}}


def stale(cell: Cell, manifest: Manifest) -> str:
    """Why a finished cell is not what its sources give today, with the remedy; "" when it is, or nobody can say."""
    today = resolved_or_none(cell)
    taken = manifest.facts.get(TRAINED_AS)
    if cell.source is None or today is None or (isinstance(taken, Mapping) and taken.get("key") == today.key):
        return ""
    giver = cell.source.run if isinstance(cell.source, MeanOf) else "the selection"
    if isinstance(cell.source, Promoted):
        giver = f"the choice at rung {cell.source.rung}"
    return f"made with another setting than {giver} gives today; `mtlbench train --again {cell.path}`"


def unusable(cell: Cell, error: NothingToTrainError) -> Manifest:
    """The manifest of a cell that has no setting to train: diverged, because those that it depends on did."""
    for old in cell.folder.glob("manifest.*.json"):
        old.unlink()
    shared = {name: error.like.facts[name] for name in _SHARED if name in error.like.facts}
    reason = {"status": "diverged", "reason": str(error), "seconds_total": 0.0}
    return Manifest(cell.manifest, cell.key, cell.spec, {}, {**shared, **reason}, error.like.provenance)


def _check_single(cell: Cell) -> None:
    """The single-task results that it starts from, or is judged by, are there and complete; DataError or
    NothingToTrainError."""
    for path in cell.starts.values():
        _check_one(cell, path, "starts from the network", "there is no network of {} to start from")
    for path in cell.references.values():
        _check_one(cell, path, "is judged by the results", "there are no results of {} to judge by")


def _check_one(cell: Cell, path: Path, purpose: str, lacking: str) -> None:
    if not path.exists():
        raise DataError(
            f"{cell.path}: it {purpose} of {path}, which is not there. Let Snakemake make it, or run "
            f"`mtlbench train {path.parent.relative_to(places.CELLS)}` first."
        )
    found = Manifest.read(path)
    if found.status != "complete":
        of_data = {name: found.facts[name] for name in _OF_DATA if name in found.facts}
        raise NothingToTrainError(f"{lacking.format(path.parent)}: {found.reason}", replace(found, facts=of_data))


def _source(cell: Cell) -> Manifest:
    """The manifest that ``cell`` depends on, its files checked."""
    assert cell.needs is not None
    if not cell.needs.exists():
        rung = f" --rung {cell.source.rung}" if isinstance(cell.source, Promoted) else ""
        verb = f"train {cell.needs.parent}" if isinstance(cell.source, MeanOf) else f"select {cell.experiment}{rung}"
        what = "whether it goes on is said by" if isinstance(cell.source, Promoted) else "it takes its setting from"
        raise DataError(
            f"{cell.path}: {what} {cell.needs}, which is not there. Let Snakemake make it, or run `mtlbench {verb}` "
            "first."
        )
    found = Manifest.read(cell.needs)
    for name in (SELECTION, "history.csv"):
        wrong = found.outputs[name].problem(cell.needs.parent / name) if name in found.outputs else None
        if wrong:
            raise DamagedError(cell.needs.parent / name, wrong)
    return found


def _digest(source: Manifest) -> str:
    name = SELECTION if SELECTION in source.outputs else "history.csv"
    return source.outputs[name].sha256 if name in source.outputs else source.key


def _chosen(cell: Cell, source: Chosen) -> dict[str, Any]:
    """The spec of the final run: the chosen trial's options with the final epochs, protocol and seed."""
    manifest = _source(cell)
    try:
        row = read_json(manifest.path.parent / SELECTION)["rows"][source.row]
        if row["chosen"] is None:
            raise NothingToTrainError(f"no trial of {source.row} has a score: {row['reason']}", _any_trial(cell, row))
        searched = {name: row[name] for name in ("optimizer", "schedule") if name in row}
        training = {**cell.spec["training"], **searched}
        found = {**cell.spec, "training": training, "model": row["model"], "weighting": row["weighting"]}
    except (KeyError, TypeError) as error:
        raise DamagedError(manifest.path.parent / SELECTION, f"without {error}") from None
    del found["search"]
    return found


def _promoted(cell: Cell, source: Promoted) -> dict[str, Any]:
    """The spec of the trial beyond a rung that kept it; else of what it was at that rung, which is finished."""
    manifest = _source(cell)
    try:
        kept = source.trial in read_json(manifest.path.parent / SELECTION)["rows"][source.row]["kept"]
    except (KeyError, TypeError) as error:
        raise DamagedError(manifest.path.parent / SELECTION, f"without {error}") from None
    if kept:
        return {name: value for name, value in cell.spec.items() if name != RUNG}
    run, key = source.before
    before = places.cell(f"{cell.experiment}/{run}") / keys.manifest_name(key)
    if not before.exists():
        raise DataError(f"{cell.path}: it ended with {before}, which is not there. Let Snakemake make it, or run "
                        f"`mtlbench train {cell.experiment}/{run}` first.")  # fmt: skip
    return Manifest.read(before).trained_spec


def _any_trial(cell: Cell, row: Mapping[str, Any]) -> Manifest:
    path = cell.folder.parent / "trial0" / keys.manifest_name(str(row["trials"][0]["key"]))
    return Manifest.read(path)


def _averaged(cell: Cell, source: MeanOf) -> dict[str, Any]:
    """The spec with fixed weights: the means over the epochs of the other run."""
    manifest = _source(cell)
    weights = {}
    if manifest.status == "complete":
        weights = _means(manifest.path.parent / "history.csv", cell.tasks)
    if not weights or not all(math.isfinite(value) for value in weights.values()):
        raise NothingToTrainError(
            f"there are no mean weights of {source.run}: {manifest.reason or 'not finite'}", manifest
        )
    version = entry("weightings", "static").constants.get("version", 1)
    return {**cell.spec, "weighting": {"kind": "static", "version": version, "options": {"weights": weights}}}


def _means(history: Path, tasks: tuple[str, ...]) -> dict[str, float]:
    with open(history, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    try:
        sums = {task: math.fsum(float(row[f"weight_{task}"]) for row in rows) for task in tasks}
        return {task: float(f"{total / len(rows):.{_DIGITS}g}") for task, total in sums.items()}
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise DamagedError(history, f"{type(error).__name__}: {error}") from None
