"""One file is one architecture: an image batch in, one raw map for each task out. ``blocks`` holds shared parts."""

from mtlbench.models._base import Model, meta_twin, parameter_owners, shared_parameters

__all__ = ["Model", "meta_twin", "parameter_owners", "shared_parameters"]
