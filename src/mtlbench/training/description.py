"""What a trained network is, told by its checkpoint file: enough to build it again, to use it and to judge it.

Everything in it follows from the cell's key, so that the same cell has the same bytes on every machine, every day.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pydantic
import safetensors
from pydantic import BaseModel, ConfigDict

from mtlbench.plan import keys
from mtlbench.plan.recipe import Recipe
from mtlbench.runs.dataset import DatasetFacts
from mtlbench.system.errors import DataError
from mtlbench.tasks import Task, make_tasks

#: The name under which files hold it. One name only: safetensors writes several in an order that is not fixed.
NAME = "mtlbench"
#: What a network takes, for programs without this package.
IMAGE = "RGB, values 0 to 255 divided by 255, float32 (N, 3, height, width); resized bilinearly with anti-aliasing"


class TaskFacts(BaseModel):
    """One task: arguments of its constructor (class names ...), its channels, and {metric: unit}."""

    model_config = ConfigDict(frozen=True)

    options: dict[str, Any]
    channels: int
    units: dict[str, str]


class Description(BaseModel):
    """A trained network: ``key`` and ``spec`` of its cell (model, options, weighting, training, seed), and its data.

    ``size`` is (height, width) of the images that it was trained on; ``dataset`` has kind, key, note and the images by
    use; ``metrics`` {task: {metric: value}} are the reported ones, None where undefined.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = 1
    key: str
    spec: dict[str, Any]
    size: tuple[int, int]
    image: str = IMAGE
    tasks: dict[str, TaskFacts]
    dataset: dict[str, Any]
    metrics: dict[str, dict[str, float | None]]
    licence: str

    @classmethod
    def parse(cls, text: str, path: Path) -> "Description":
        """From the JSON text that the file ``path`` holds; DataError when it is none of this form."""
        try:
            return cls.model_validate_json(text)
        except pydantic.ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "its text"
            raise DataError(f"{path}: expected the description of a network of mtlbench, wrong at '{where}'") from None

    @classmethod
    def in_checkpoint(cls, path: Path) -> "Description | None":
        """That of a safetensors file, None when it has none; DataError when ``path`` is no such file."""
        try:
            with safetensors.safe_open(path, "pt") as file:
                text = (file.metadata() or {}).get(NAME)
        except safetensors.SafetensorError as error:
            raise DataError(f"{path}: expected the weights of a network as safetensors ({error})") from None
        return None if text is None else cls.parse(text, path)

    @property
    def recipe(self) -> Recipe:
        """Its spec in typed form; ValueError when it is none."""
        return Recipe.of(self.spec)

    def text(self) -> str:
        """The one JSON text of it: sorted, no spaces."""
        return keys.canonical(self.model_dump(mode="json"))

    def make_tasks(self) -> dict[str, Task]:
        """Its tasks, in the order of the network's outputs."""
        return make_tasks({name: self.tasks[name].options for name in self.spec["tasks"]})


def describe(spec: Mapping[str, Any], facts: Mapping[str, Any], metrics: Mapping[str, Any]) -> Description:
    """The description of a finished cell from its spec, the facts of its manifest and its reported metrics.

    The dataset's name is left out: it is a label, which two experiments that share the cell may write differently.
    """
    data = DatasetFacts.model_validate(facts["dataset"])
    options = {name: data.tasks[name] for name in spec["tasks"]}
    return Description(
        key=keys.key(spec),
        spec=dict(spec),
        size=data.size,
        tasks={name: _facts(task, options[name]) for name, task in make_tasks(options).items()},
        dataset={"kind": facts["data_code"]["kind"], "key": data.key, "note": data.note, "images": data.images},
        metrics={name: dict(values) for name, values in metrics.items()},
        licence="code: MIT; weights: the terms of the data set that they were trained on apply",
    )


def _facts(task: Task, options: dict[str, Any]) -> TaskFacts:
    return TaskFacts(
        options=options, channels=task.channels, units={metric.name: metric.unit for metric in task.metrics}
    )
