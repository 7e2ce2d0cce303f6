"""From parameters to cells: every training run of an experiment with its spec, key and places on disk."""

import difflib
import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mtlbench.plan import keys, places, prepared, rows
from mtlbench.plan.params import Experiment, Params
from mtlbench.plan.prepared import PreparedDataset
from mtlbench.plan.recipe import Recipe
from mtlbench.plan.searched import searched
from mtlbench.plan.specs import rows_of
from mtlbench.plan.start import SingleTaskRuns
from mtlbench.system.errors import ParamsError, nearest


@dataclass(frozen=True)
class Cell:
    """One training run: experiment, model, weighting and seed.

    ``spec`` is the JSON of all that the result depends on, for the key and the manifest; what it says is read from
    ``recipe``.
    """

    experiment: str
    model: str
    weighting: str
    seed: int
    tasks: tuple[str, ...]
    dataset: PreparedDataset
    spec: dict[str, Any]
    key: str
    #: Its number when it is a trial of a search.
    trial: int | None = None
    #: The rung, from 1, as far as which it is that trial; None: to the end.
    rung: int | None = None
    #: The result that decides what it trains; None where its spec does.
    source: rows.Source | None = None
    #: The single-task results whose networks it starts from.
    start: SingleTaskRuns | None = None
    #: The single-task results by which it is judged in training.
    reference: SingleTaskRuns | None = None

    @functools.cached_property
    def recipe(self) -> Recipe:
        """What is trained, and how."""
        return Recipe.of(self.spec)

    @property
    def path(self) -> str:
        """``experiment/model/weighting/seed<n>`` (or ``trial<n>``), the cell's name for people and its folder."""
        run = f"seed{self.seed}" if self.trial is None else rows.trial_name(self.trial, self.rung)
        return f"{self.experiment}/{self.model}/{self.weighting}/{run}"

    @property
    def stage(self) -> int:
        """Cells of a stage need nothing but cells (and selections) of lower ones."""
        single = self.start is not None or self.reference is not None
        return (0 if self.source is None else self.source.stage) + single

    @property
    def whole(self) -> "Cell":
        """The run that goes to the end of the training, whose states it saves: itself, unless it stops at a rung."""
        if rows.STOP not in self.spec:
            return self
        spec = {name: value for name, value in self.spec.items() if name != rows.STOP}
        return replace(self, spec=spec, key=keys.key(spec))

    @property
    def needs(self) -> Path | None:
        """The manifest of the result that decides what it trains; None where its spec does."""
        if isinstance(self.source, (rows.Chosen, rows.Promoted)):
            return places.selection(self.experiment, self.source.rung) / keys.manifest_name(self.source.selection)
        if isinstance(self.source, rows.MeanOf):
            return places.cell(f"{self.experiment}/{self.source.run}") / keys.manifest_name(self.source.key)
        return None

    @property
    def starts(self) -> dict[str, Path]:
        """{task: manifest of the result whose network it starts from}."""
        return self._manifests(self.start)

    @property
    def references(self) -> dict[str, Path]:
        """{task: manifest of the result by which it is judged}."""
        return self._manifests(self.reference)

    def _manifests(self, single: SingleTaskRuns | None) -> dict[str, Path]:
        runs = {} if single is None else single.runs
        return {
            task: places.cell(f"{self.experiment}/{run}") / keys.manifest_name(key) for task, (run, key) in runs.items()
        }

    @property
    def folder(self) -> Path:
        """Small results: metrics, curves, samples, manifest."""
        return places.cell(self.path)

    @property
    def checkpoint_folder(self) -> Path:
        """The trained weights."""
        return places.weights(self.path)

    @property
    def manifest(self) -> Path:
        """Exists when the cell is complete for this spec."""
        return self.folder / keys.manifest_name(self.key)


def experiment(params: Params, name: str) -> Experiment:
    """The experiment of that name; raises ParamsError with the nearest known name."""
    if name not in params.experiments:
        raise ParamsError(f"unknown experiment '{name}'. {nearest(name, params.experiments)}")
    return params.experiments[name]


def cells(params: Params, name: str) -> list[Cell]:
    """The cells that an experiment reports, in the order of params.yaml."""
    return [cell for cell in every_cell(params, name) if cell.trial is None]


def every_cell(params: Params, name: str) -> list[Cell]:
    """All cells of an experiment: the trials of its search first, then those that it reports."""
    try:
        return _cells(params, name)
    except ParamsError as error:
        raise params.located(error) from None


def trials(params: Params, name: str, rung: int | None = None) -> list[Cell]:
    """The trials of an experiment's search as they stand at the end, or at a rung (from 1); [] without a search."""
    return [cell for cell in every_cell(params, name) if cell.trial is not None and cell.rung == rung]


def stages(params: Params, name: str) -> list[list[Cell]]:
    """All cells of an experiment in groups; a cell needs nothing but cells (and selections) of the groups before."""
    found = every_cell(params, name)
    return [[cell for cell in found if cell.stage == stage] for stage in sorted({cell.stage for cell in found})]


def _cells(params: Params, name: str) -> list[Cell]:
    grid = experiment(params, name)
    data = prepared.dataset(params, grid.dataset)
    made = rows_of(name, grid, data)
    if grid.search is None:
        runs = rows.plain(made, grid.seeds)
    else:
        assert grid.baseline is not None  # checks.py
        runs = searched(made, grid.seeds, grid.search, grid.baseline)
    return [
        Cell(name, run.row.model, run.row.weighting, run.seed, run.row.tasks, data, dict(run.spec), run.key,
             run.trial, run.rung, run.source, run.start, run.reference)
        for run in runs
    ]  # fmt: skip


def cell(params: Params, path: str) -> Cell:
    """The cell of that path (``experiment/model/weighting/seed<n>``); raises ParamsError with the nearest one."""
    known = {cell.path: cell for cell in every_cell(params, path.strip("/").split("/")[0])}
    if path.strip("/") not in known:
        near = difflib.get_close_matches(path.strip("/"), known, n=1, cutoff=0.6)
        guess = f"Did you mean '{near[0]}'? " if near else ""
        raise ParamsError(
            f"unknown cell '{path}'. {guess}Expected experiment/model/weighting/seed<n>: `mtlbench list cells` shows "
            f"all {len(known)} of its experiment."
        )
    return known[path.strip("/")]
