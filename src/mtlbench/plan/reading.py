"""params.yaml as plain values (text, finite numbers, lists, mappings), or one line that says where it is not so."""

import math
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError

from mtlbench.system.errors import ParamsError

#: Levels of blocks in blocks; params.yaml has 6.
MOST_LEVELS = 16
#: Values that a file may hold, anchors followed; a grid of thousands of cells has hundreds.
MOST_VALUES = 100_000


def read(path: Path) -> Any:
    """The file's value, checked by ``check_plain``; raises ParamsError with line and column where it is not YAML."""
    where = f"{path.name}: not valid YAML"
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
    except OSError as error:
        raise ParamsError(f"{path.name}: expected a readable file ({error.strerror})") from None
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace").split("\n")
        byte = f"0x{data[error.start]:02x}"
        raise ParamsError(
            f"{where}: line {len(before)}, column {len(before[-1]) + 1}: expected UTF-8 text, found the byte {byte}; "
            "save the file as UTF-8"
        ) from None
    try:
        # YAML 1.2, as DVC reads it: 1e-3 is a number there and 'yes' a word.
        value = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise ParamsError(f"{where}: {at}{_problem(error)}") from None
    except RecursionError:
        raise ParamsError(f"{where}: blocks in blocks deeper than can be read; expected {MOST_LEVELS} levels") from None
    except Exception as error:  # the parser's own, as for an impossible date or a number of 5000 digits
        raise ParamsError(f"{where}: {' '.join(str(error).split())[:300] or type(error).__name__}") from None
    check_plain(value, path.name)
    return value


def _problem(error: MarkedYAMLError) -> str:
    problem = " ".join(f"{error.context or ''} {error.problem or ''}".split())
    if isinstance(error, DuplicateKeyError):
        return f"{str(error.problem).split(' with value')[0]}; a block names every key once"
    if "\\t" in problem:
        return "found a tab; indent with spaces"
    if "another document" in problem:
        return "found a second document (after ---); the file holds one"
    return problem


def check_plain(value: Any, where: str) -> None:
    """Refuse what no parameter can be, with its path: other types, keys that are no words, numbers without bounds."""
    pending: list[tuple[Any, str, int]] = [(value, "", 0)]
    count = 0
    while pending:
        item, path, level = pending.pop()
        count += 1
        problem = _refusal(item)
        if level > MOST_LEVELS or count > MOST_VALUES:
            problem = (
                f"expected at most {MOST_LEVELS} levels and {MOST_VALUES} values, found more (an anchor that holds "
                "itself or is repeated?)"
            )
        if problem is not None:
            raise ParamsError(f"{where}: {f'{path}: ' if path else ''}{problem}")
        if isinstance(item, dict):
            pending += [(inner, f"{path}.{key}".lstrip("."), level + 1) for key, inner in item.items()]
        elif isinstance(item, list):
            pending += [(inner, f"{path}.{number}".lstrip("."), level + 1) for number, inner in enumerate(item)]


def _refusal(item: Any) -> str | None:
    if isinstance(item, dict):
        wrong = [key for key in item if not isinstance(key, str) or not key.isprintable() or len(key) > 200]
        return f"expected words as keys, found {str(wrong[0])[:60]!r}" if wrong else None
    if isinstance(item, float) and not math.isfinite(item):
        return f"expected a finite number, found {item}"
    if isinstance(item, int) and abs(item) >= 2**63:
        return f"expected a number below 2**63, found one of {item.bit_length()} bits"
    if item is None or isinstance(item, (bool, int, float, str, list)):
        return None
    return f"expected text, a number, a list or a block, found {type(item).__name__} (put text in quotes)"
