"""One file is one architecture: an image batch in, one raw map for each task out. ``blocks`` holds shared parts."""

from mtlbench.models._base import Classifier, Model, meta_twin, parameter_owners, shared_parameters

__all__ = ["Classifier", "Model", "meta_twin", "parameter_owners", "shared_parameters"]
