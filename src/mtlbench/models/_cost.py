"""What a model costs: parameters, and multiplications and additions of one forward pass."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mtlbench.models import Model, meta_twin
from mtlbench.plan.registry import check_options, entry

#: The operations that count: convolutions, linear layers (with and without a bias), and the products of attention.
COUNTED = ("convolution", "_convolution", "addmm", "mm", "bmm")


def blueprint(name: str, tasks: Mapping[str, int], options: Mapping[str, Any]) -> Model:
    """The model of that name on the meta device: shapes without data, and no pretrained weights are fetched.

    Raises ParamsError for an unknown name and for options that the model does not have.
    """
    chosen = check_options("models", name, dict(options), name)
    if "weights" in chosen:
        chosen["weights"] = "none"
    with torch.device("meta"):
        return entry("models", name).load()(tasks, **chosen)


def parameter_count(model: Model) -> int:
    """Number of trained scalars."""
    return sum(parameter.numel() for parameter in model.parameters())


def forward_flops(
    model: Model, size: tuple[int, int], auxiliary: bool = False, only: Sequence[str] | None = None
) -> int:
    """Floating-point operations of a forward pass of one image of ``size`` (height, width).

    With ``auxiliary``, those of its auxiliary predictions too, as in training. ``only``: what a classifier computes for
    an image of these tasks' domain.

    Twice the multiply-adds of convolutions, linear layers and attention; biases, BatchNorm, activations, pooling and
    resizing do not count, as usual. Found on the meta device: no arithmetic is done and ``model`` stays
    where and as it is. Raises ParamsError when the model cannot take that size.
    """
    from torch.utils.flop_counter import FlopCounterMode  # starts Triton, so only when it is needed

    twin = meta_twin(model).eval()
    twin.training = auxiliary  # of the model alone: BatchNorm refuses to train on one image
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        image = torch.empty(1, 3, *size, device="meta")
        twin(image) if only is None else twin(image, only=only)
    counts = counter.get_flop_counts()["Global"]
    return sum(count for operation, count in counts.items() if operation.__name__.split(".")[0] in COUNTED)
