"""The JSON schema of params.yaml, for editors; generated from the pydantic models (a test keeps it in step)."""

import json
from pathlib import Path
from typing import Any

from mtlbench.params import Params
from mtlbench.registry import entries

PATH = Path("workflow/schemas/params.schema.json")


def build() -> dict[str, Any]:
    """The schema of the file, with the options of every dataset, model and weighting under ``$defs``.

    A block such as ``dwa: {temperature: 2}`` is checked by its label or its ``kind``, which a JSON schema cannot
    express for free labels; ``$defs/options`` documents them for readers and editors.
    """
    schema = Params.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    options = {
        kind: {name: found.options.model_json_schema() | {"description": found.summary} for name, found in entries(kind).items()}
        for kind in ("datasets", "models", "weightings")
    }
    schema["$defs"]["options"] = options
    return schema


def text() -> str:
    """The file's content."""
    return json.dumps(build(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(text(), encoding="utf-8")
