"""From parameters to cells: every training run of a grid with its spec, key and places on disk."""

import difflib
import errno
import functools
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtlbench.plan import dimensions, frozen, keys, places, rows, task_options
from mtlbench.plan.content import content
from mtlbench.plan.matching import check_domains, check_model
from mtlbench.plan.names import ONLY
from mtlbench.plan.params import Experiment, Params
from mtlbench.plan.recipe import Recipe
from mtlbench.plan.registry import entry, split_kind
from mtlbench.plan.sources import is_address, source_folder
from mtlbench.system.errors import ParamsError, nearest
from mtlbench.system.files import digest

#: Bumped by hand when code is meant to change the numbers of every cell.
TRAINING_VERSION = 2
#: The same for what is recorded of every prepared dataset.
PREPARED_VERSION = 2
#: The same for the report's pages.
REPORT_VERSION = 2


@dataclass(frozen=True)
class PreparedDataset:
    """A dataset of params.yaml: what it is made of and where its arrays are."""

    name: str
    kind: str
    options: dict[str, Any]
    source: str | None
    spec: dict[str, Any]
    key: str

    @property
    def raw(self) -> Mapping[str, str | None]:
        """{raw file: its published checksum, None where there is none}; empty for generated data."""
        found: dict[str, str | None] = self.spec["raw"]
        return found

    @property
    def content(self) -> Mapping[str, str]:
        """{raw file or folder: digest} of what is in local raw files without a published checksum."""
        found: dict[str, str] = self.spec.get("content", {})
        return found

    @property
    def folder(self) -> Path:
        """Where the prepared arrays are."""
        return places.prepared(self.name)

    @property
    def manifest(self) -> Path:
        """Exists when the arrays are complete and belong to this spec."""
        return self.folder / keys.manifest_name(self.key)

    def build(self) -> Any:
        """The Dataset object."""
        return entry("datasets", self.kind).load()(**self.options)


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
    #: The result that decides what it trains; None where its spec does.
    source: rows.MeanOf | rows.Chosen | None = None

    @functools.cached_property
    def recipe(self) -> Recipe:
        """What is trained, and how."""
        return Recipe.of(self.spec)

    @property
    def path(self) -> str:
        """``experiment/model/weighting/seed<n>`` (or ``trial<n>``), the cell's name for people and its folder."""
        run = f"seed{self.seed}" if self.trial is None else f"trial{self.trial}"
        return f"{self.experiment}/{self.model}/{self.weighting}/{run}"

    @property
    def stage(self) -> int:
        """Cells of a stage need nothing but cells (and selections) of lower ones."""
        return {type(None): 0, rows.MeanOf: 1, rows.Chosen: 2}[type(self.source)]

    @property
    def needs(self) -> Path | None:
        """The manifest of the result that decides what it trains; None where its spec does."""
        if isinstance(self.source, rows.Chosen):
            return places.selection(self.experiment) / keys.manifest_name(self.source.selection)
        if isinstance(self.source, rows.MeanOf):
            return places.cell(f"{self.experiment}/{self.source.run}") / keys.manifest_name(self.source.key)
        return None

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


def dataset(params: Params, name: str) -> PreparedDataset:
    """The dataset of that name; raises ParamsError with the nearest known name."""
    if name not in params.datasets:
        raise ParamsError(f"unknown dataset '{name}'. {nearest(name, params.datasets)}")
    block = params.datasets[name]
    kind, options = split_kind("datasets", name, block, f"datasets.{name}", extra=("source",))
    source = block.get("source")
    found = _dataset(name, kind, keys.canonical(options), source, "{}")
    if source is None or is_address(source):
        return found
    held = content(name, raw_folder(found), unpublished(found))
    return _dataset(name, kind, keys.canonical(options), source, keys.canonical(held))


@functools.lru_cache(maxsize=256)
def _dataset(name: str, kind: str, options_json: str, source: str | None, content_json: str) -> PreparedDataset:
    import json

    options = json.loads(options_json)
    made = entry("datasets", kind).load()(**options)
    raw = {file.name: file.sha256 or file.md5 for file in made.raw_files()}
    spec = {"prepared": PREPARED_VERSION, "kind": kind, "version": made.version, "options": options, "raw": raw}
    if held := json.loads(content_json):
        spec["content"] = held
    if packages := made.packages():
        spec["packages"] = packages
    if source is not None and is_address(source) and None in raw.values():
        spec["source"] = source.rstrip("/")
    return PreparedDataset(name, kind, options, source, spec, keys.key(spec))


def unpublished(data: PreparedDataset) -> dict[str, tuple[str, ...]]:
    """{raw file without a published checksum: the names under which it may lie in its folder}."""
    return {file.name: file.forms for file in data.build().raw_files() if data.raw[file.name] is None}


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


def stages(params: Params, name: str) -> list[list[Cell]]:
    """All cells of an experiment in groups; a cell needs nothing but cells (and selections) of the groups before."""
    found = every_cell(params, name)
    return [group for stage in range(3) if (group := [cell for cell in found if cell.stage == stage])]


def _cells(params: Params, name: str) -> list[Cell]:
    grid = experiment(params, name)
    data = dataset(params, grid.dataset)
    made = _rows(name, grid, data)
    if grid.search is None:
        runs = rows.plain(made, grid.seeds)
    else:
        assert grid.baseline is not None  # checks.py
        runs = rows.searched(made, grid.seeds, grid.search, grid.baseline)
    return [
        Cell(name, run.row.model, run.row.weighting, run.seed, run.row.tasks, data, dict(run.spec), run.key,
             run.trial, run.source)
        for run in runs
    ]  # fmt: skip


def _rows(name: str, grid: Experiment, data: PreparedDataset) -> list[rows.Row]:
    """Models with weightings, in the order of params.yaml."""
    where = f"experiments.{name}"
    made = data.build()
    for task in grid.tasks:
        if task not in made.tasks:
            raise ParamsError(f"{where}.tasks: dataset '{data.name}' has no '{task}'. {nearest(task, made.tasks)}")
    check_domains(grid, made.domains, where)
    if grid.search is not None:
        _check_scenes(grid.search.held_out, made.train_scenes, f"{where}.search.held_out")
    common = {
        "version": TRAINING_VERSION,
        "dataset": data.key,
        "training": grid.training.model_dump(),
        "protocol": grid.protocol.model_dump(),
    }
    options = task_options.checked(made.tasks, grid.tasks, grid.task_options, f"{where}.task_options")
    found = []
    for label, block in grid.models.items():
        model = _resolve("models", label, block, f"{where}.models.{label}")
        check_model(model["kind"], made.tasks, grid.tasks, f"{where}.models.{label}")
        _check_size(model["kind"], made.size, f"{where}.models.{label}")
        single = entry("models", model["kind"]).constants.get("single_task", False)
        for other, tasks, weighting, of in _single(grid) if single else _weighted(grid, where):
            searched = [] if of or grid.search is None else _dimensions(grid, label, "" if single else other, where)
            spec = {**common, "tasks": list(tasks), "model": model, "weighting": weighting}
            if own := {name: options[name] for name in tasks if name in options}:
                spec["task_options"] = own
            found.append(rows.Row(label, other, tasks, spec, of, tuple(searched)))
    return found


_Weighted = tuple[str, tuple[str, ...], dict[str, Any], str]


def _single(grid: Experiment) -> list[_Weighted]:
    """(label, tasks, block, "") of the runs of a single-task model."""
    return [(f"{ONLY}{task}", (task,), {"kind": "equal", "version": 1, "options": {}}, "") for task in grid.tasks]


def _weighted(grid: Experiment, where: str) -> list[_Weighted]:
    """(label, tasks, block, the label whose mean weights it takes or "") of every weighting."""
    return [
        (
            label,
            tuple(grid.tasks),
            _resolve("weightings", label, frozen.written(block), f"{where}.weightings.{label}"),
            frozen.of(block),
        )
        for label, block in grid.weightings.items()
    ]


def _dimensions(grid: Experiment, model: str, weighting: str, where: str) -> list[dimensions.Dimension]:
    """What the trials of a row vary, the optimiser first; ``weighting`` is "" for a single-task model."""
    assert grid.search is not None
    space = grid.search.space
    found = dimensions.of_optimizer(grid, where)
    for kind, label, ranges in (("weightings", weighting, space.weightings), ("models", model, space.models)):
        if label:
            block = getattr(grid, kind)[label]
            here = f"{where}.search.space.{kind}.{label}"
            found += dimensions.of_entry(kind, label, block, ranges.get(label, {}), grid.tasks, here)
    return found


def _check_scenes(share: float, scenes: int | None, where: str) -> None:
    """Whole scenes are held out, at least one, and one is left to train on; None: known only to the prepared data."""
    if scenes is not None and not 0 < round(share * scenes) < scenes:
        raise ParamsError(
            f"{where}: expected a share that leaves a scene on both sides, found {share:g} of {scenes} training scenes"
        )


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


def check_key(what: str, found: str, planned: str | None) -> None:
    """Refuse a job whose parameters were edited after it was planned; raises ParamsError."""
    if planned is not None and planned != found:
        raise ParamsError(
            f"{what}: this job was planned for key {planned}, but params.yaml now gives {found}: it was edited since. "
            "Start Snakemake again."
        )


def raw_folder(data: PreparedDataset) -> Path:
    """Where the raw files are: ``source`` when it is a folder, else where they are downloaded to.

    The official files of a kind are downloaded once for all datasets made from them. What an address gives without a
    published checksum lies apart from what another address gives.
    """
    if data.source is not None and not is_address(data.source):
        return source_folder(data.source, f"datasets.{data.name}.source")
    if data.source is None:
        return places.raw(data.kind)
    address = data.spec.get("source")
    return places.raw(data.name if address is None else f"{data.name}_{keys.key(address)[:8]}")


def raw_spec(data: PreparedDataset) -> dict[str, Any]:
    """What a download depends on: the files and their expected digests."""
    return {"kind": data.kind, "source": data.source, "raw": dict(data.raw)}


def raw_manifest(params: Params, name: str) -> Path | None:
    """Exists when the raw files are downloaded; None for generated data and for a local ``source``."""
    data = dataset(params, name)
    if not data.raw or (data.source is not None and not is_address(data.source)):
        return None
    return raw_folder(data) / keys.manifest_name(keys.key(raw_spec(data)))


def summary_manifest(params: Params, name: str) -> Path:
    """Exists when the tidy tables cover exactly these cells."""
    return places.summary(name) / keys.manifest_name(keys.key(report_spec(params, name)))


def selection_spec(params: Params, name: str) -> dict[str, Any] | None:
    """What the selection of an experiment depends on; None where there is no search."""
    search = experiment(params, name).search
    if search is None:
        return None
    trials: dict[str, list[str]] = {}
    for cell in every_cell(params, name):
        if cell.trial is not None:
            trials.setdefault(f"{cell.model}/{cell.weighting}", []).append(cell.key)
    return rows.selection_spec(trials, search.rule)


def selection_manifest(params: Params, name: str) -> Path | None:
    """Exists when the settings of the final runs are chosen from exactly these trials; None without a search."""
    spec = selection_spec(params, name)
    return None if spec is None else places.selection(name) / keys.manifest_name(keys.key(spec))


def report_spec(params: Params, name: str) -> dict[str, Any]:
    """What the report of an experiment depends on."""
    grid = experiment(params, name)
    return {
        "version": REPORT_VERSION,
        "title": grid.title,
        "baseline": grid.baseline,
        "cells": {cell.path: cell.key for cell in cells(params, name)},
    }


def report_key(params: Params, name: str) -> str:
    """The key of the report of an experiment."""
    return keys.key(report_spec(params, name))


def report_manifest(params: Params, name: str) -> Path:
    """Exists when the report is built for exactly these cells."""
    return places.report(name) / keys.manifest_name(report_key(params, name))


def _resolve(kind: str, label: str, block: dict[str, Any], where: str) -> dict[str, Any]:
    name, options = split_kind(kind, label, block, where)
    found = {"kind": name, "version": entry(kind, name).constants.get("version", 1), "options": options}
    weights = options.get("weights", "none")
    if kind == "models" and weights not in ("none", "imagenet"):
        found["weights"] = _file_digest(weights, f"{where}.weights")
    return found


def _file_digest(name: str, where: str) -> str:
    """The SHA-256 of a file named in params.yaml, read again only when its size or time changed."""
    try:
        status = Path(name).expanduser().stat()
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, "a folder")
        return _digest_at(name, status.st_size, status.st_mtime_ns)
    except (OSError, RuntimeError, ValueError) as error:  # the others: ~ of an unknown user, a name with a zero byte
        why = getattr(error, "strerror", None) or error
        raise ParamsError(f"{where}: expected 'none', 'imagenet' or a readable file, found {name!r} ({why})") from None


@functools.lru_cache(maxsize=64)
def _digest_at(name: str, _size: int, _time: int) -> str:
    return digest(Path(name).expanduser())


def _check_size(kind: str, size: tuple[int, int], where: str) -> None:
    multiple = entry("models", kind).constants.get("size_multiple", 1)
    if size[0] % multiple or size[1] % multiple:
        try:
            entry("models", kind).load().check_size(*size)
        except ParamsError as error:
            raise ParamsError(f"{where}: {error}") from None
