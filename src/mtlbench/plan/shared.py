"""Shared blocks of params.yaml: what several experiments have in common is written once and named.

A block takes the values of another with ``use: NAME`` (``protocol`` from ``protocols:``, ``training`` from
``trainings:``, a dataset from another dataset); an experiment takes those of a grid with ``grid: NAME``. A block's own
values are laid over the ones it takes: mappings key by key, anything else replaces. A model or weighting set to null is
left out. The expanded form is what enters keys, so a value has one key wherever it is written.
"""

from typing import Any

from mtlbench.system.errors import ParamsError, nearest

#: Of an experiment: its blocks with `use:`, and where their names are looked up.
_BLOCKS = {"protocol": "protocols", "training": "trainings"}


def expand(value: dict[str, Any], written: dict[str, str]) -> dict[str, Any]:
    """The parameters with every shared block put in; ``written`` learns where each value taken so is written.

    What has not the form of a block is left for the validation to name. Raises ParamsError for a name that is unknown.
    """
    expanded = dict(value)
    datasets, experiments = value.get("datasets"), value.get("experiments")
    if isinstance(datasets, dict):
        expanded["datasets"] = {
            name: _use(block, "datasets", value, f"datasets.{name}", written) for name, block in datasets.items()
        }
    if isinstance(experiments, dict):
        expanded["experiments"] = {
            name: _experiment(block, value, f"experiments.{name}", written) for name, block in experiments.items()
        }
    return expanded


def place(path: str, written: dict[str, str]) -> str:
    """The path, followed by where it is written when that is another place."""
    end = len(path)
    while end > 0:
        if path[:end] in written:
            return f"{path} (written at {written[path[:end]]}{path[end:]})"
        end = path.rfind(".", 0, end)
    return path


def located(text: str, written: dict[str, str]) -> str:
    """Lines ``path: message``, each with the place of its path."""
    lines = []
    for line in text.split("\n"):
        path, colon, message = line.partition(": ")
        lines.append(f"{place(path, written)}{colon}{message}")
    return "\n".join(lines)


def _experiment(block: Any, value: dict[str, Any], where: str, written: dict[str, str]) -> Any:
    if not isinstance(block, dict):
        return block
    block = dict(block)
    for key, blocks in _BLOCKS.items():
        if key in block:
            block[key] = _use(block[key], blocks, value, f"{where}.{key}", written)
    if "grid" not in block:
        return block
    name = block.pop("grid")
    block = _merge(_named("grids", name, value, f"{where}.grid"), block, f"grids.{name}", where, written)
    for key in ("models", "weightings"):
        if isinstance(block.get(key), dict):
            block[key] = {label: options for label, options in block[key].items() if options is not None}
    return block


def _use(block: Any, blocks: str, value: dict[str, Any], where: str, written: dict[str, str]) -> Any:
    if isinstance(block, str) and blocks in _BLOCKS.values():
        raise ParamsError(f"{where}: expected a block, such as {{use: {block}}}, found '{block}'")
    if not isinstance(block, dict) or "use" not in block:
        return block
    own = {key: item for key, item in block.items() if key != "use"}
    name = block["use"]
    return _merge(_named(blocks, name, value, f"{where}.use"), own, f"{blocks}.{name}", where, written)


def _named(blocks: str, name: Any, value: dict[str, Any], where: str) -> dict[str, Any]:
    known = value.get(blocks)
    known = known if isinstance(known, dict) else {}
    if not isinstance(name, str) or not isinstance(known.get(name), dict):
        remedy = nearest(str(name), map(str, known)) if known else f"There is no block {blocks}: yet."
        raise ParamsError(f"{where}: expected a name under {blocks}:, found {name!r}. {remedy}")
    if "use" in known[name]:
        raise ParamsError(f"{where}: '{name}' takes its values from another block; name that one")
    found: dict[str, Any] = known[name]
    return found


def _merge(
    base: dict[str, Any], own: dict[str, Any], source: str, where: str, written: dict[str, str]
) -> dict[str, Any]:
    """``own`` laid over ``base``; the order of ``base`` first."""
    merged = {}
    for key in [*base, *(key for key in own if key not in base)]:
        if key not in own:
            merged[key] = base[key]
            written[f"{where}.{key}"] = f"{source}.{key}"
        elif isinstance(own[key], dict) and isinstance(base.get(key), dict):
            merged[key] = _merge(base[key], own[key], f"{source}.{key}", f"{where}.{key}", written)
        else:
            merged[key] = own[key]
    return merged
