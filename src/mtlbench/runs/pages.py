"""The keys of an experiment's tables and page: what they are made of today.

They are functions of the cells' keys, so they are known before anything runs. Cells that take their setting from other
results (runs/derived.py) may hold another outcome under the same key: another choice of the search, other mean weights.
A page that was made of another outcome is therefore wanted under a second key, which holds today's.
"""

from pathlib import Path
from typing import Any

from mtlbench.plan import frozen, grid, keys, places, summaries
from mtlbench.plan.params import Params
from mtlbench.runs.derived import SELECTION
from mtlbench.runs.manifest import TRAINED_AS, Manifest, find, read_cell
from mtlbench.system.errors import DamagedError

#: In a page's manifest, and in the spec of the second key: the outcome that it was made of.
OUTCOME = "outcome"


def summary_manifest(params: Params, name: str) -> Path:
    """Exists when the tidy tables cover exactly these cells."""
    return _manifest(params, name, places.summary(name))


def report_manifest(params: Params, name: str) -> Path:
    """Exists when the page is built of exactly these cells, and of the search's selection of today."""
    return _manifest(params, name, places.report(name))


def spec(params: Params, name: str, folder: Path, planned: str | None = None) -> dict[str, Any]:
    """What the tables or the page in ``folder`` depend on; ``planned`` is the key that a job was given."""
    plain = summaries.report_spec(params, name)
    found = outcome(params, name)
    if not found or planned == keys.key(plain):
        return plain
    second = {**plain, OUTCOME: found}
    if _path(folder, second).exists():
        return second
    return plain if _made_of(folder, plain) in (None, found) else second


def stale(params: Params, name: str, folder: Path) -> bool:
    """Whether ``folder`` holds what was made of these cells with another outcome than today's."""
    made = find(folder)
    if made is None or not outcome(params, name) or _manifest(params, name, folder).exists():
        return False
    try:
        plain = {key: value for key, value in Manifest.read(made).spec.items() if key != OUTCOME}
    except DamagedError:
        return False
    return plain == summaries.report_spec(params, name)


def outcome(params: Params, name: str) -> dict[str, Any]:
    """What was trained for the cells that take their setting from other results, and the digest of the selection.

    {} where no cell does, or while not all of it is there.
    """
    wanted = grid.experiment(params, name)
    if wanted.search is None and not any(map(frozen.of, wanted.weightings.values())):
        return {}  # without making a thousand cells once more
    derived = [cell for cell in grid.cells(params, name) if cell.source is not None]
    try:
        trained = {cell.path: read_cell(cell).facts.get(TRAINED_AS, {}).get("key") for cell in derived}
        selection = summaries.selection_manifest(params, name)
        chosen = None if selection is None else Manifest.read(selection).outputs[SELECTION].sha256
    except (FileNotFoundError, DamagedError, KeyError, AttributeError):
        return {}
    return {"trained": trained, "selection": chosen} if derived else {}


def _manifest(params: Params, name: str, folder: Path) -> Path:
    return _path(folder, spec(params, name, folder))


def _path(folder: Path, found: dict[str, Any]) -> Path:
    return folder / keys.manifest_name(keys.key(found))


def _made_of(folder: Path, plain: dict[str, Any]) -> dict[str, Any] | None:
    """The outcome that a finished page of the first key was made of; None without one."""
    try:
        return dict(Manifest.read(_path(folder, plain)).facts.get(OUTCOME, {}))
    except (FileNotFoundError, DamagedError):
        return None
