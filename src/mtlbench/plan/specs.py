"""The rows of an experiment, every model with every weighting, and the spec of each: all that its numbers depend on."""

import errno
import functools
import stat
from pathlib import Path
from typing import Any

from mtlbench.plan import dimensions, frozen, pairs, parts, phases, reference, start, task_options
from mtlbench.plan.matching import check_domains, check_model, with_norms
from mtlbench.plan.names import ONLY
from mtlbench.plan.params import Experiment
from mtlbench.plan.prepared import PreparedDataset
from mtlbench.plan.registry import entry, split_kind
from mtlbench.plan.rows import Row
from mtlbench.system.errors import ParamsError, nearest
from mtlbench.system.files import digest

#: Bumped by hand when code is meant to change the numbers of every cell.
TRAINING_VERSION = 2


def rows_of(name: str, grid: Experiment, data: PreparedDataset) -> list[Row]:
    """Models with weightings, in the order of params.yaml."""
    where = f"experiments.{name}"
    made = data.build()
    known = task_options.available(made.tasks)
    for task in grid.tasks:
        if task not in known:
            raise ParamsError(f"{where}.tasks: dataset '{data.name}' has no '{task}'. {nearest(task, known)}")
    check_domains(grid, made.domains, where)
    if grid.search is not None:
        _check_scenes(grid.search.held_out, made.train_scenes, f"{where}.search.held_out")
    common = {
        "version": TRAINING_VERSION,
        "dataset": data.key,
        "protocol": grid.protocol.model_dump(),
    }
    options = task_options.checked(made.tasks, grid.tasks, grid.task_options, f"{where}.task_options")
    found = []
    for label, block in grid.models.items():
        model = _resolve("models", label, block, f"{where}.models.{label}")
        check_model(model["kind"], known, grid.tasks, f"{where}.models.{label}")
        model["options"] = with_norms(model["options"], made.domains, bool(start.of(block)), f"{where}.models.{label}")
        _check_size(model["kind"], made.size, f"{where}.models.{label}")
        single = entry("models", model["kind"]).constants.get("single_task", False)
        training = parts.of_model(grid.training.model_dump(), model["kind"])
        for other, tasks, weighting, of in _single(grid) if single else _weighted(grid, block, where):
            searched = [] if of or grid.search is None else _dimensions(grid, label, "" if single else other, where)
            own = phases.of_tasks(training, tasks)
            spec = {**common, "training": own, "tasks": list(tasks), "model": model, "weighting": weighting}
            if given := {name: options[name] for name in tasks if name in options}:
                spec["task_options"] = given
            judge = reference.label(weighting["kind"], grid)
            found.append(Row(label, other, tasks, spec, of, start.of(block), tuple(searched), judge))
    return found


_Weighted = tuple[str, tuple[str, ...], dict[str, Any], str]


def _single(grid: Experiment) -> list[_Weighted]:
    """(label, tasks, block, "") of the runs of a single-task model."""
    return [(f"{ONLY}{task}", (task,), {"kind": "equal", "version": 1, "options": {}}, "") for task in grid.tasks]


def _weighted(grid: Experiment, model: dict[str, Any], where: str) -> list[_Weighted]:
    """(label, tasks, block, the label whose mean weights it takes or "") of every weighting of a model's block."""
    return [
        (
            label,
            tuple(grid.tasks),
            _resolve("weightings", label, frozen.written(grid.weightings[label]), f"{where}.weightings.{label}"),
            frozen.of(grid.weightings[label]),
        )
        for label in pairs.of(model, grid.weightings)
    ]


def _dimensions(grid: Experiment, model: str, weighting: str, where: str) -> list[dimensions.Dimension]:
    """What the trials of a row vary, the optimiser first; ``weighting`` is "" for a single-task model."""
    assert grid.search is not None
    space = grid.search.space
    found = dimensions.of_optimizer(grid, where) + dimensions.of_schedule(grid, where)
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


def _resolve(kind: str, label: str, block: dict[str, Any], where: str) -> dict[str, Any]:
    name, options = split_kind(kind, label, block, where, extra=(start.KEY, pairs.KEY) if kind == "models" else ())
    found = {"kind": name, "version": entry(kind, name).constants.get("version", 1), "options": options}
    weights = options.get("weights", "none")
    if weights != "none" and options.get("backbone") == "hrnet18s":
        raise ParamsError(f"{where}.weights: expected 'none', hrnet18s has no pretrained weights; found {weights!r}")
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
