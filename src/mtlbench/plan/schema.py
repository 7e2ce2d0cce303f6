"""The JSON schema of params.yaml, for editors; generated from the pydantic models (a test keeps it in step).

The options of datasets, models and weightings are not in it: they belong to the entries' own files (`mtlbench list`
shows them), so that a new entry changes nothing central.
"""

import copy
import json
from pathlib import Path
from typing import Any

from mtlbench.plan.blocks import Grid, Params

PATH = Path("workflow/schemas/params.schema.json")
_USED = {"protocol": "Protocol", "training": "Training"}


def text() -> str:
    """The file's content."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Params.model_json_schema()}
    _allow_shared_blocks(schema["$defs"])
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def _allow_shared_blocks(blocks: dict[str, Any]) -> None:
    """An experiment as people write it: blocks with `use:` hold single values, and a grid gives what is not there."""
    experiment = blocks["Experiment"]
    for key, name in _USED.items():
        parts = _parts(name, blocks)
        parts["properties"]["use"] = {"description": f"a name under {key}s:", "type": "string"}
        blocks[f"{name}Use"] = {**parts, "required": ["use"]}
        experiment["properties"][key] = {"anyOf": [{"$ref": f"#/$defs/{name}"}, {"$ref": f"#/$defs/{name}Use"}]}
    for key in ("models", "weightings"):
        options = experiment["properties"][key].pop("additionalProperties")
        experiment["properties"][key] = {
            **{name: value for name, value in experiment["properties"][key].items() if name != "minProperties"},
            "additionalProperties": {"anyOf": [options, {"type": "null"}]},
        }
    resources = _parts("Resources", blocks)
    experiment["properties"]["resources"] = resources
    experiment["properties"]["grid"] = {"description": "a name under grids:", "type": "string"}
    from_grid = [name for name in experiment["required"] if name in Grid.model_fields]
    experiment["required"] = [name for name in experiment["required"] if name not in from_grid]
    experiment["anyOf"] = [{"required": ["grid"]}, {"required": from_grid}]


def _parts(name: str, blocks: dict[str, Any]) -> dict[str, Any]:
    """The schema of a block of which any keys may be written."""

    def inlined(value: Any) -> Any:
        if isinstance(value, list):
            return [inlined(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return _parts(value["$ref"].rsplit("/", 1)[1], blocks)
        return {key: inlined(item) for key, item in value.items()}

    found: dict[str, Any] = inlined(
        {key: item for key, item in copy.deepcopy(blocks[name]).items() if key != "required"}
    )
    return found


if __name__ == "__main__":
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(text(), encoding="utf-8")
