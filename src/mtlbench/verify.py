"""Is every result what its manifest says, and does params.yaml still ask for it?"""

import random
from collections.abc import Mapping
from pathlib import Path

from mtlbench.plan import grid, keys, places, prepared, summaries
from mtlbench.plan.grid import Cell
from mtlbench.plan.params import Params
from mtlbench.runs import code, derived, pages, store
from mtlbench.runs.manifest import MISSING, Manifest, read_cell, unequal_data
from mtlbench.runs.prune import Say
from mtlbench.runs.shipped import withheld
from mtlbench.system.errors import DamagedError, DataError, MtlbenchError
from mtlbench.system.files import read_json


class VerificationError(MtlbenchError):
    """At least one result is not what its manifest says."""

    exit_code = 6


def verify(params: Params, experiment: str | None, say: Say, quick: bool = False, deep: int = 0) -> None:
    """Compare cells, prepared data, tables and reports with their manifests; VerificationError lists all differences.

    ``quick`` looks at existence and sizes only. ``deep`` is the number of complete cells, drawn at random, whose
    networks are also evaluated again. What has no manifest is not an error here: it is pending. A cell whose weights
    are absent is one, since DVC would record the rest as the whole, unless it was shipped without them
    (runs/shipped.py), which is said. A cell made with other code than today's is said, but is what its manifest says.
    The selection of a search is computed again from its trials, unless ``quick``.
    """
    names = [experiment] if experiment else list(params.experiments)
    others = _other_manifests(params, names)
    problems = [problem for path, mend in others.items() for problem in check_folder(path, mend, quick)]
    for name in names:
        for rung in (*summaries.rungs(params, name), None):
            problems += [] if problems or quick else _check_selection(params, name, rung)
        for folder, verb in ((places.summary(name), "aggregate"), (places.report(name), "report")):
            if pages.stale(params, name, folder):
                say(f"{folder}: pending, because it was made of other choices than today's; `mtlbench {verb} {name}`")
    checked = 0
    seen: dict[str, dict[str, Mapping[str, str]]] = {}
    complete: list[Cell] = []
    for name in names:
        for cell in grid.every_cell(params, name):
            if cell.manifest.exists():
                checked += 1
                try:
                    manifest = read_cell(cell)
                except DamagedError as error:
                    problems.append(str(error))
                    continue
                problems += check(cell, manifest, quick) + _not_as_prepared(cell, manifest)
                if files := code.differences(manifest):
                    say(f"{cell.path}: {code.remedy(cell.path, files)}")
                if other := derived.stale(cell, manifest):
                    problems.append(f"{cell.path}: {other}")
                seen.setdefault(cell.dataset.key, {})[cell.path] = manifest.data
                if left_out := withheld(cell):
                    say(f"{cell.path}: trained elsewhere, without {', '.join(sorted(left_out))}")
                elif manifest.status == "complete":
                    complete.append(cell)
    problems += [problem for read in seen.values() for problem in unequal_data(read)]
    for cell in random.sample(complete, min(deep, len(complete))) if not problems else ():
        from mtlbench.training.again import evaluate_again

        problems += evaluate_again(cell, params.runtime)
        say(f"{cell.path}: its network was evaluated again")
    if problems:
        raise VerificationError("\n".join(problems))
    say(f"{len(others)} prepared datasets, tables and reports and {checked} cells are what their manifests say")


def _check_selection(params: Params, name: str, rung: int | None) -> list[str]:
    """Whether the trials of an experiment's search still give its selection; [] while not all of them are there."""
    manifest = summaries.selection_manifest(params, name, rung)
    trials = grid.trials(params, name, rung)
    if manifest is None or not all(path.exists() for path in (manifest, *(cell.manifest for cell in trials))):
        return []
    from mtlbench.training.choice import choice, same

    path = manifest.parent / derived.SELECTION
    try:
        if same(choice(params, name, rung), read_json(path)):
            return []
    except (DamagedError, DataError) as error:
        return [str(error)]
    return [f"{path}: not what its trials give; run `mtlbench {_select(name, rung)}` again"]


def _select(name: str, rung: int | None) -> str:
    return f"select {name}" + (f" --rung {rung}" if rung is not None else "")


def _other_manifests(params: Params, names: list[str]) -> dict[Path, str]:
    """{manifest: the command that makes it again} of what is there besides the cells."""
    found: dict[Path, str] = {}
    for name in names:
        data = prepared.dataset(params, grid.experiment(params, name).dataset)
        found[data.manifest] = f"mtlbench prepare {data.name}"
        found[pages.summary_manifest(params, name)] = f"mtlbench aggregate {name}"
        found[pages.report_manifest(params, name)] = f"mtlbench report {name}"
        for rung in (*summaries.rungs(params, name), None):
            if (selection := summaries.selection_manifest(params, name, rung)) is not None:
                found[selection] = f"mtlbench {_select(name, rung)}"
    return {path: command for path, command in found.items() if path.exists()}


def _not_as_prepared(cell: Cell, manifest: Manifest) -> list[str]:
    """Arrays that the cell read otherwise than they are prepared here; [] where nothing is prepared."""
    try:
        prepared = Manifest.read(cell.dataset.manifest).outputs
    except (FileNotFoundError, DamagedError):  # absent, or named by check_folder
        return []
    other = [name for name, sha256 in manifest.data.items() if name in prepared and prepared[name].sha256 != sha256]
    if not other:
        return []
    return [
        f"{cell.path}: it was trained on other data than {cell.dataset.folder} holds "
        f"({', '.join(other)}); `dvc checkout`, or prepare or train again"
    ]


def check_folder(manifest: Path, command: str, quick: bool = False) -> list[str]:
    """The problems of the files beside a manifest; ``command`` makes them again."""
    try:
        problems = Manifest.read(manifest).problems(quick=quick)
    except DamagedError as error:
        return [f"{error} and run `{command}`"]
    return [
        f"{path}: {wrong}; `dvc checkout`, or delete {manifest} and run `{command}`" for path, wrong in problems.items()
    ]


def check(cell: Cell, manifest: Manifest, quick: bool = False) -> list[str]:
    """The problems of one complete cell with this manifest."""
    problems = []
    if keys.key(manifest.spec) != cell.key:
        problems.append(f"{cell.path}: the manifest's spec does not give its key {cell.key}; train the cell again")
    left_out = {store.place_of(cell)(name) for name in withheld(cell)}
    for path, wrong in manifest.problems(store.place_of(cell), quick).items():
        if wrong == MISSING and path in left_out:
            continue
        if wrong == MISSING:
            problems.append(f"{path}: missing; `dvc pull`, or delete {cell.manifest} to train the cell again")
        else:
            problems.append(f"{path}: {wrong}; delete {cell.manifest} and run again, or `dvc checkout`")
    return problems
