"""The cross-stitched DeepLabv3s against their formulas and their size."""

import pytest
import torch

from mtlbench.models.resnet_cross_stitch import ResNetCrossStitch


@pytest.mark.slow
def test_agrees_with_the_formulas(agrees) -> None:
    tasks = ("segmentation", "depth")

    def forward(plain, image):
        x = {task: plain.stem(f"backbones.{task}.stem", image) for task in tasks}
        for stage in range(4):
            x = {task: plain.layer(f"backbones.{task}.layers.{stage}", x[task], stage, 18)[-1] for task in tasks}
            alpha = {task: plain.tensors[f"units.{stage}.by_source.{task}"][..., None, None] for task in tasks}
            x = {task: alpha[task][0] * x["segmentation"] + alpha[task][1] * x["depth"] for task in tasks}
        return {task: plain.deeplab_head(f"heads.{task}", x[task], image.shape[-2:]) for task in tasks}

    model = ResNetCrossStitch({"segmentation": 5, "depth": 1}, depth=18, dropout=0.0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "by_source" in name:
                parameter.uniform_(-1, 1)
    agrees(model, forward, (32, 32))


def test_is_three_networks_and_four_units(count) -> None:
    networks = 39_636_813 + 39_633_729 + 39_634_243
    parameters = count(ResNetCrossStitch, {"segmentation": 13, "depth": 1, "normals": 3})
    assert parameters == networks + 3 * 3 * (256 + 512 + 1024 + 2048)
    parameters = count(ResNetCrossStitch, {"depth": 1, "normals": 3})
    assert parameters == 39_633_729 + 39_634_243 + 2 * 2 * (256 + 512 + 1024 + 2048)
