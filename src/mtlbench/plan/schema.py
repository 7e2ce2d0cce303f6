"""The JSON schema of params.yaml, for editors; generated from the pydantic models (a test keeps it in step).

The options of datasets, models and weightings are not in it: they belong to the entries' own files (`mtlbench list`
shows them), so that a new entry changes nothing central.
"""

import json
from pathlib import Path

from mtlbench.plan.params import Params

PATH = Path("workflow/schemas/params.schema.json")


def text() -> str:
    """The file's content."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Params.model_json_schema()}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(text(), encoding="utf-8")
