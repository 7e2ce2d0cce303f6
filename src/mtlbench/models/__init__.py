"""One file is one architecture: an image batch in, one raw map for each task out. ``blocks`` holds shared parts."""

from mtlbench.models._base import (
    Classifier,
    Model,
    auxiliary_name,
    meta_outputs,
    meta_twin,
    outputs_by_task,
    parameter_owners,
    part_parameters,
    shared_parameters,
)
from mtlbench.models._features import LastFeatures, last_layers

__all__ = [
    "Classifier",
    "LastFeatures",
    "Model",
    "auxiliary_name",
    "last_layers",
    "meta_outputs",
    "meta_twin",
    "outputs_by_task",
    "parameter_owners",
    "part_parameters",
    "shared_parameters",
]
