"""One file is one architecture: an image batch in, one raw map for each task out. ``blocks`` holds shared parts."""

from mtlbench.models._base import (
    Classifier,
    Model,
    auxiliary_name,
    meta_twin,
    outputs_by_task,
    parameter_owners,
    part_parameters,
    shared_parameters,
)

__all__ = [
    "Classifier",
    "Model",
    "auxiliary_name",
    "meta_twin",
    "outputs_by_task",
    "parameter_owners",
    "part_parameters",
    "shared_parameters",
]
