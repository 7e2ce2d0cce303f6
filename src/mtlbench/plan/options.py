"""Options that several entries have, with what they accept; read without importing torch."""

from typing import Annotated, Literal

from pydantic import Field

#: Of a SegNet: 1 gives 64, 128, 256, 512, 512 (or what the model says).
Width = Annotated[float, Field(gt=0, le=16, description="factor on the numbers of filters")]
#: Layers of a ResNet.
Depth = Annotated[Literal[18, 34, 50, 101], Field(description="layers of the ResNet")]
#: Where a ResNet's first weights come from.
Weights = Annotated[
    str, Field(description="'none', 'imagenet' or a file with the state of torchvision's ResNet of that depth")
]
#: Of the DeepLab heads.
Dropout = Annotated[float, Field(ge=0, lt=1, description="dropout in the DeepLab heads")]


class PerTask:
    """In an option's annotation: a mapping with a value for every task of the experiment, checked at planning."""


#: Fixed weights of the tasks.
TaskWeights = Annotated[
    dict[str, Annotated[float, Field(ge=0)]] | None,
    Field(description="{task: weight} for every task, none below 0; null: 1 for every task"),
    PerTask,
]
