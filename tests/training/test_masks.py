"""Attention masks of real networks."""

import numpy as np
import torch

from mtlbench.models.segnet_mtan import SegNetMTAN
from mtlbench.models.segnet_split import SegNetSplit
from mtlbench.training.masks import attention_masks

TASKS = {"segmentation": 5, "depth": 1}


def test_every_level_of_every_task_has_a_mask_and_the_network_is_as_before() -> None:
    torch.manual_seed(0)
    model = SegNetMTAN(TASKS, width=0.0625).eval()
    image = torch.rand(2, 3, 32, 64)
    before = model(image)["depth"]
    masks = attention_masks(model, image, list(TASKS))
    assert torch.equal(model(image)["depth"], before)
    assert not any(module._forward_hooks for module in model.modules())
    assert set(masks) == {
        f"attention_{task}/{half}_{level}" for task in TASKS for half in ("encoder", "decoder") for level in range(5)
    }
    for name, values in masks.items():
        assert values.shape[0] == 2, name
        assert (np.sort(values.shape[1:]) <= (32, 64)).all()
        assert 0 <= values.min() <= values.max() <= 1


def test_a_network_without_masks_has_none() -> None:
    model = SegNetSplit(TASKS, width=0.0625).eval()
    assert attention_masks(model, torch.rand(1, 3, 32, 32), list(TASKS)) == {}
