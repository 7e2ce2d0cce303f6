"""The training loss of a task: of its final prediction and, where a model gives them, of its auxiliary ones."""

from collections.abc import Mapping

from torch import Tensor

from mtlbench.models import auxiliary_name
from mtlbench.models.blocks.resize import Bilinear
from mtlbench.tasks import Task

_enlarge = Bilinear()


def training_loss(
    name: str, task: Task, raw: Mapping[str, Tensor], target: Tensor, auxiliary: Mapping[str, float]
) -> Tensor:
    """The loss of ``raw[name]`` plus each auxiliary prediction's loss times its multiple; a float32 scalar.

    ``auxiliary`` is {name: multiple}, as a model declares it. Auxiliary maps are brought to the target's size
    bilinearly, as PAD-Net and MTI-Net do it, so that all predictions are judged by the same target.
    """
    loss = task.loss(raw[name], target)
    for part, multiple in auxiliary.items():
        loss = loss + multiple * task.loss(_at_size_of(target, raw[auxiliary_name(name, part)]), target)
    return loss


def _at_size_of(target: Tensor, raw: Tensor) -> Tensor:
    """A map (N, channels, h, w) at the target's height and width; logits of classes (N, classes) have none."""
    size = (target.shape[-2], target.shape[-1]) if raw.dim() == 4 else None
    return raw if size is None or raw.shape[-2:] == size else _enlarge(raw, size)
