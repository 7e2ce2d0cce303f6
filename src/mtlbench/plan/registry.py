"""Discovery: one file in datasets/, tasks/, models/ or weightings/ is one entry, named like the file.

The four folders are those of the package and those of the folders under ``extensions:`` in params.yaml.

The options of an entry are the keyword-only arguments of its class's constructor. They are read from the
source text, without importing it (torch alone takes seconds), so that a grid of a thousand cells is
checked before anything heavy starts. A test compares them with the real signatures.
"""

import ast
import contextlib
import functools
import importlib
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from mtlbench.plan import extensions
from mtlbench.plan import options as option_types
from mtlbench.plan.extensions import KINDS as KINDS
from mtlbench.system.errors import ParamsError, nearest

# What an annotation of a constructor's option may use.
_NAMES = {"Annotated": Annotated, "Literal": Literal, "Field": pydantic.Field, "Any": Any, **vars(option_types)}


@dataclass(frozen=True)
class Entry:
    """One dataset, task, model or weighting found on disk."""

    kind: str
    name: str
    class_name: str
    summary: str
    constants: dict[str, Any]
    options: type[pydantic.BaseModel]
    path: Path

    @property
    def shipped(self) -> bool:
        """False for an entry of an extension."""
        return self.path.is_relative_to(extensions.package())

    @property
    def searched(self) -> dict[str, option_types.Search | option_types.Simplex]:
        """{option: what a search tries unless it is told otherwise}, from the annotations of the constructor."""
        found: dict[str, option_types.Search | option_types.Simplex] = {}
        for option, field in self.options.model_fields.items():
            for item in field.metadata:
                if isinstance(item, option_types.Search):
                    found[option] = item
                elif item is option_types.Simplex:
                    found[option] = option_types.Simplex()
        return found

    @property
    def display(self) -> str:
        """The name for people: the constant ``display``, else the class's name."""
        return str(self.constants.get("display") or self.class_name)

    def title(self, options: Mapping[str, Any]) -> str:
        """The name for people with these options: the constant ``display_with`` has that of options that are set."""
        names = [name for option, name in self.constants.get("display_with", ()) if options.get(option)]
        return names[0] if names else self.display

    def load(self) -> Any:
        """Import the module and return the class."""
        name = f"mtlbench.{self.kind}.{self.name}"
        known = sys.modules.get(name)
        if known is not None and known.__file__ != str(self.path):  # of a folder that was in use before
            del sys.modules[name]
        return getattr(importlib.import_module(name), self.class_name)


def entries(kind: str) -> dict[str, Entry]:
    """All entries of a kind by name, in alphabetical order, shipped ones and those of the extensions in use."""
    return _entries(kind, extensions.folders())


@functools.cache
def _entries(kind: str, _folders: tuple[Path, ...]) -> dict[str, Entry]:
    return {path.stem: _read(kind, path) for path in sorted(extensions.files(kind), key=lambda path: path.stem)}


def entry(kind: str, name: str) -> Entry:
    """The entry of that name; raises ParamsError that lists the known names."""
    found = entries(kind)
    if name not in found:
        raise ParamsError(f"unknown {kind[:-1]} '{name}'. {nearest(name, found)}")
    return found[name]


def split_kind(
    kind: str, label: str, block: dict[str, Any] | None, where: str, extra: tuple[str, ...] = ()
) -> tuple[str, dict[str, Any]]:
    """(entry name, complete checked options) of one block such as ``dwa: {temperature: 2}``.

    ``kind:`` in the block names the entry when the label does not.
    """
    block = dict(block or {})
    name = block.pop("kind", label)
    if not isinstance(name, str):
        raise ParamsError(f"{where}.kind: expected the name of one of the {kind}, found {_shown(name)}")
    for key in extra:
        block.pop(key, None)
    try:
        entry(kind, name)
    except ParamsError as error:
        raise ParamsError(f"{where}: {error}") from None
    return name, check_options(kind, name, block, where)


def check_options(kind: str, name: str, options: dict[str, Any], where: str) -> dict[str, Any]:
    """Options completed with the constructor's defaults (but for :class:`~mtlbench.plan.options.Later`) and checked
    against its annotations."""
    try:
        return without_later(kind, name, entry(kind, name).options(**options).model_dump())
    except pydantic.ValidationError as error:
        raise ParamsError("\n".join(explain(error, entry(kind, name).options, where))) from None


def without_later(kind: str, name: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options without those that came later and stand at their default."""
    fields = entry(kind, name).options.model_fields
    return {
        option: value
        for option, value in options.items()
        if option_types.Later not in fields[option].metadata or value != fields[option].default
    }


def explain(error: pydantic.ValidationError, model: type[pydantic.BaseModel], where: str) -> list[str]:
    """One line for each problem: where it is, what was expected, what was found."""
    lines = []
    for problem in error.errors():
        path = ".".join([where, *(str(part) for part in problem["loc"])]).strip(".")
        if problem["type"] == "extra_forbidden":
            known = _fields_at(model, problem["loc"][:-1])
            lines.append(f"{path}: unknown key. {nearest(str(problem['loc'][-1]), known)}")
        elif problem["type"] == "missing":
            lines.append(f"{path}: missing; {_description(model, problem['loc'])}")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{path}: {message[:1].lower()}{message[1:]}, found {_shown(problem['input'])}")
    return lines


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 120 else text[:117] + "..."


def _field_at(model: Any, loc: tuple[Any, ...]) -> Any:
    """The pydantic model or field annotation reached by following ``loc``."""
    current: Any = model
    for part in loc:
        fields = getattr(current, "model_fields", None)
        if fields is not None and part in fields:
            current = _without_none(fields[part].annotation)
        else:  # a dict or list of models
            arguments = [a for a in getattr(current, "__args__", ()) if hasattr(a, "model_fields")]
            current = arguments[0] if arguments else None
    return current


def _without_none(annotation: Any) -> Any:
    """The block of a key that may be null; anything else as it is."""
    if isinstance(annotation, types.UnionType):
        return next((a for a in annotation.__args__ if hasattr(a, "model_fields")), annotation)
    return annotation


def _fields_at(model: Any, loc: tuple[Any, ...]) -> list[str]:
    return list(getattr(_field_at(model, loc), "model_fields", {}))


def _description(model: Any, loc: tuple[Any, ...]) -> str:
    parent = _field_at(model, loc[:-1])
    field = getattr(parent, "model_fields", {}).get(loc[-1])
    return f"expected {field.description}" if field is not None and field.description else "this key is required"


def _read(kind: str, path: Path) -> Entry:
    try:
        return _entry(kind, path, ast.parse(path.read_text(encoding="utf-8"), filename=str(path)))
    except (SyntaxError, ValueError, NameError, TypeError, pydantic.PydanticUserError) as error:
        raise ParamsError(
            f"{path}: its options cannot be read ({error}). Defaults must be literals; annotations may use builtins, "
            "Annotated, Literal, Field, Any and what mtlbench.plan.options defines."
        ) from None


def _entry(kind: str, path: Path, tree: ast.Module) -> Entry:
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    if len(classes) != 1:
        raise ParamsError(f"{path}: expected exactly one public class, found {[c.name for c in classes]}")
    node = classes[0]
    constants = {}
    for statement in node.body:
        if not isinstance(statement, (ast.Assign, ast.AnnAssign)):
            continue
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        if isinstance(target, ast.Name) and isinstance(statement.value, (ast.Constant, ast.Tuple, ast.UnaryOp)):
            with contextlib.suppress(ValueError):  # a tuple of calls (a task's metrics) is not a literal
                constants[target.id] = ast.literal_eval(statement.value)
    summary = (ast.get_docstring(node) or ast.get_docstring(tree) or "").split("\n")[0]
    options = _constructor_options(node, f"{path.stem}_options")
    return Entry(kind, path.stem, node.name, summary, constants, options, path)


def _constructor_options(node: ast.ClassDef, name: str) -> type[pydantic.BaseModel]:
    init = next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
    fields: dict[str, Any] = {}
    if init is not None:
        for argument, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True):
            annotation = eval(ast.unparse(argument.annotation), {}, _NAMES) if argument.annotation else Any
            fields[argument.arg] = (annotation, ... if default is None else ast.literal_eval(default))
    config = pydantic.ConfigDict(extra="forbid", strict=True, protected_namespaces=(), allow_inf_nan=False)
    return pydantic.create_model(name, __config__=config, **fields)
