"""What a report must know of the data of a cell: recorded by prepare, copied by train into the cell's manifest.

So a report is a function of the cells' files alone and needs no prepared data.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mtlbench.plan.prepared import PreparedDataset
from mtlbench.runs.manifest import Manifest
from mtlbench.system.errors import DamagedError


class DatasetFacts(BaseModel):
    """The block ``dataset`` of a cell's manifest.

    ``size`` is (height, width); ``tasks`` holds the arguments of each task's constructor; ``images`` counts those that
    were trained on, held out and tested; ``constant`` is {task: {metric: value}} of the best constant prediction;
    ``published`` and ``published_batch`` are those of the Dataset.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    key: str
    size: tuple[int, int]
    tasks: dict[str, dict[str, Any]]
    note: str
    images: dict[str, int]
    constant: dict[str, dict[str, float | None]]
    published: str | None
    published_batch: int

    @classmethod
    def of(
        cls, data: PreparedDataset, prepared: Manifest, images: dict[str, int], own: dict[str, dict[str, Any]]
    ) -> "DatasetFacts":
        """From the manifest of prepared data, the images that a cell uses, and ``own``: its "tasks" and "constant",
        which take the place of those of the same tasks."""
        mended = {block: {**prepared.facts[block], **values} for block, values in own.items()}
        return cls._parse(prepared, {**prepared.facts, **mended, "name": data.name, "key": data.key, "images": images})

    @classmethod
    def of_cell(cls, manifest: Manifest) -> "DatasetFacts":
        """From the manifest of a cell; DamagedError when the block is not there or not of this form."""
        return cls._parse(manifest, manifest.facts.get("dataset"))

    @classmethod
    def _parse(cls, manifest: Manifest, block: object) -> "DatasetFacts":
        try:
            return cls.model_validate(block)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise DamagedError(manifest.path, f"what it says of the dataset, at '{where}'") from None
