"""Reading the files of one cell; whatever is missing or damaged becomes a reason, never a crash."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from mtlbench.plan import keys
from mtlbench.report.rows.inputs import CellInput
from mtlbench.runs import manifest as manifests
from mtlbench.runs.manifest import Manifest
from mtlbench.runs.store import WEIGHTS
from mtlbench.system.errors import DamagedError
from mtlbench.system.files import read_json

#: The rule of the numbers on the held-out images, which are in history.csv; the others are those of metrics.json.
HELD_OUT = "held_out"
# What reading a damaged file can raise.
_DAMAGED = (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError)


@dataclass(frozen=True)
class LoadedCell:
    """One cell with what could be read of it.

    ``metrics`` is {rule: {task: {metric: value}}} with the rules of metrics.json ("reported", "last", ...);
    ``missing`` is empty for a usable cell and otherwise says why there are no numbers.
    ``unusable`` is {file: why} of the files that are not those of the finished run; nothing is read from them.
    """

    cell: CellInput
    missing: str
    manifest: Manifest | None = None
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    unusable: Mapping[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the manifest says of cost, data and surroundings; {} without one."""
        return self.manifest.facts if self.manifest else {}

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row per epoch; empty when the file is absent or damaged."""
        if "history.csv" in self.unusable:
            return pd.DataFrame()
        try:
            table = pd.read_csv(self.cell.folder / "history.csv")  # type: ignore[operator]
            words = table.select_dtypes(exclude="number")
            return table.assign(**{name: pd.to_numeric(words[name], errors="coerce") for name in words})
        except _DAMAGED:
            return pd.DataFrame()

    def per_image(self) -> dict[str, dict[str, np.ndarray]]:
        """{task: {statistic: (N, ...)}} of the final network on the test images; {} when absent or damaged."""
        found: dict[str, dict[str, np.ndarray]] = {}
        for name, values in self._arrays("per_image.npz").items():
            task, slash, statistic = name.partition("/")
            if slash:
                found.setdefault(task, {})[statistic] = values
        return found

    def scenes(self) -> np.ndarray | None:
        """The scene (N,) of every test image; each image its own where none are recorded; None without the file."""
        arrays = self._arrays("per_image.npz")
        if "scene" in arrays or not arrays:
            return arrays.get("scene")
        return np.arange(len(next(iter(arrays.values()))), dtype=np.int32)

    def samples(self) -> dict[str, np.ndarray]:
        """The arrays of samples.npz; {} when absent or damaged."""
        return self._arrays("samples.npz")

    def _arrays(self, name: str) -> dict[str, np.ndarray]:
        if self.cell.folder is None or name in self.unusable:
            return {}
        try:
            with np.load(self.cell.folder / name) as file:
                return {key: file[key] for key in file.files}
        except _DAMAGED:
            return {}


def load_cell(cell: CellInput) -> LoadedCell:
    """Read a cell's manifest and metrics."""
    if cell.folder is None:
        return LoadedCell(cell, cell.missing or "not run")
    try:
        own = cell.folder / keys.manifest_name(cell.key)
        path = own if cell.key and own.exists() else manifests.find(cell.folder)
        if path is None:
            return LoadedCell(cell, cell.missing or "no manifest: the run is not finished")
        manifest = Manifest.read(path)
        if cell.key and manifest.key != cell.key:
            return LoadedCell(cell, f"holds the result of other settings (key {manifest.key}, wanted {cell.key})")
        if manifest.status != "complete":
            why = f"{manifest.status}: {manifest.reason or 'no reason recorded'}"
            return LoadedCell(cell, why, manifest)
        absent = {*WEIGHTS, *cell.withheld}
        unusable = {path.name: wrong for path, wrong in manifest.problems().items() if path.name not in absent}
        if wrong := unusable.get("metrics.json"):
            return LoadedCell(
                cell,
                f"metrics.json: {wrong}; `dvc checkout`, or delete {path.name} and run again",
                manifest,
                {},
                unusable,
            )
        metrics = read_json(cell.folder / "metrics.json")
        found = LoadedCell(cell, "", manifest, _rules(metrics), unusable)
        held_out = _held_out(found, metrics.get("best_epoch"))
        return replace(found, metrics={**found.metrics, HELD_OUT: held_out}) if held_out else found
    except DamagedError as error:
        return LoadedCell(cell, str(error))
    except _DAMAGED as error:
        return LoadedCell(cell, f"unreadable result ({type(error).__name__}: {error.args[-1] if error.args else ''})")


def _held_out(cell: LoadedCell, epoch: int | None) -> dict[str, dict[str, float]]:
    """{task: {metric: value}} on the held-out images at the epoch that they chose; {} where none was chosen."""
    if epoch is None or epoch >= len(cell.history):
        return {}
    row = cell.history.iloc[epoch]
    return {
        task: {name: float(row.get(f"val_{task}_{name}", np.nan)) for name in values}
        for task, values in cell.metrics["reported"].items()
    }


def _rules(metrics: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """The entries of metrics.json that are {task: {metric: value}}; null becomes NaN."""
    found = {}
    for rule, tasks in metrics.items():
        if isinstance(tasks, dict) and tasks and all(isinstance(values, dict) for values in tasks.values()):
            found[rule] = {
                task: {name: float("nan") if value is None else float(value) for name, value in values.items()}
                for task, values in tasks.items()
            }
    if "reported" not in found:
        raise KeyError("metrics.json has no 'reported'")
    return found
