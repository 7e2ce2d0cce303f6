"""Attention masks of a network, found by what they are: sigmoids inside a part that carries a task's name."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@torch.no_grad()
def attention_masks(model: nn.Module, image: Tensor, tasks: Sequence[str]) -> dict[str, np.ndarray]:
    """{"attention_<task>/<level>": mean over the mask's channels, (N, h, w) float16 in [0, 1]}; {} without masks.

    ``image`` (N, 3, H, W) as the network takes it. A level is the path of the module below the task's name, in the
    order of the forward pass.
    """
    found: dict[str, np.ndarray] = {}
    hooks = []
    for path, module in model.named_modules():
        parts = path.split(".")
        task = next((part for part in parts if part in tasks), None)
        if isinstance(module, nn.Sigmoid) and task is not None:
            level = "_".join(parts[parts.index(task) + 1 : -1]) or "0"
            hooks.append(module.register_forward_hook(_keeper(found, f"attention_{task}/{level}")))
    try:
        if hooks:
            model(image)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _keeper(found: dict[str, np.ndarray], name: str) -> Any:
    def keep(_module: nn.Module, _inputs: tuple[Any, ...], output: Tensor) -> None:
        found[name] = output.float().mean(1).half().cpu().numpy()

    return keep
