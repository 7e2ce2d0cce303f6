"""params.yaml: the only place where an experiment is described, validated once, before anything runs."""

import functools
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from mtlbench.plan import checks, extensions, shared
from mtlbench.plan.blocks import Experiment, Optimizer, Params, Protocol, Runtime, Schedule, Shared, Training
from mtlbench.plan.reading import check_plain, read
from mtlbench.plan.registry import explain
from mtlbench.system.errors import ParamsError

__all__ = ["Experiment", "Optimizer", "Params", "Protocol", "Runtime", "Schedule", "Training", "load", "validate"]

Model = TypeVar("Model", bound=pydantic.BaseModel)


def load(path: Path | str = "params.yaml") -> Params:
    """The validated parameters; raises ParamsError naming the key, what was expected and what was found.

    The folders under ``extensions:`` are in use from here on, in this process and in those that it starts.
    """
    path = Path(path)
    try:
        stamp = path.stat()
    except OSError:
        raise ParamsError(f"{path}: no such file. Run the command in the folder that holds params.yaml.") from None
    key = (path.resolve(), stamp.st_mtime_ns, stamp.st_size)
    _use_extensions(_parse(*key), path)
    return _load(*key)


def use_extensions(path: Path) -> None:
    """Take entries from the extensions of this file, whatever else is wrong with it; none without the file."""
    if path.exists():
        stamp = path.stat()
        _use_extensions(_parse(path.resolve(), stamp.st_mtime_ns, stamp.st_size), path)


def _use_extensions(value: Any, path: Path) -> None:
    names = value.get("extensions", []) if isinstance(value, dict) else []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ParamsError(f"{path.name}: extensions: expected a list of folders, found {names!r}")
    try:
        extensions.use(names, path.resolve().parent)
    except ParamsError as error:
        raise ParamsError(f"{path.name}: {error}") from None


@functools.lru_cache(maxsize=8)
def _parse(path: Path, _mtime: int, _size: int) -> Any:
    return read(path)


@functools.lru_cache(maxsize=8)
def _load(path: Path, mtime: int, size: int) -> Params:
    return validate(_parse(path, mtime, size), path.name)


def validate(value: Any, where: str = "params.yaml") -> Params:
    """Parameters from plain dicts and lists, the shared blocks put into the experiments that name them."""
    if not isinstance(value, dict):
        raise ParamsError(f"{where}: expected a mapping with the keys {', '.join(Params.model_fields)}")
    check_plain(value, where)
    written: dict[str, str] = {}
    try:
        _build(Shared, {name: value[name] for name in Shared.model_fields if name in value})
        params = _build(Params, shared.expand(value, written))
        params._written.update(written)
        checks.check(params)
    except ParamsError as error:
        lines = shared.located(str(error), written).split("\n")
        raise ParamsError("\n".join(f"{where}: {line}" for line in lines)) from None
    return params


def _build(model: type[Model], value: dict[str, Any]) -> Model:
    try:
        return model.model_validate(value)
    except pydantic.ValidationError as error:
        raise ParamsError("\n".join(explain(error, model, ""))) from None
