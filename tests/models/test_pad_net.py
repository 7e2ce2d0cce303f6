"""PAD-Net against its formulas and its size."""

import pytest
import torch.nn.functional as F

from mtlbench.models.pad_net import PADNet
from mtlbench.system.errors import ParamsError

from .test_hrnet_split import backbone as hrnet

TASKS = {"segmentation": 13, "depth": 1, "normals": 3}
FEW = {"segmentation": 5, "depth": 1, "normals": 2}


def heads(plain, x, gate: str, size: tuple[int, int]):
    """Everything behind the backbone's features."""
    features = {t: plain.bottleneck(f"features.{t}.1", plain.bottleneck(f"features.{t}.0", x)) for t in FEW}
    outputs = {}
    for task, own in features.items():
        total = own
        for source in FEW:
            if source != task:
                name = f"distillation.{task}"
                where = f"{name}.gate.0" if gate == "target" else f"{name}.gates.{source}.0"
                passing = plain.conv(where, own if gate == "target" else features[source], padding=1).sigmoid()
                total = total + passing * plain.conv(f"{name}.convs.{source}", features[source], padding=1)
        head = f"heads.{task}"
        y = plain.bottleneck(f"{head}.blocks.1", plain.bottleneck(f"{head}.blocks.0", total))
        y = plain.conv(f"{head}.output", y)
        outputs[task] = F.interpolate(y, size, mode="bilinear", align_corners=True)
    if plain.training:
        outputs |= {f"{task}/initial": plain.conv(f"initial.{task}", features[task]) for task in FEW}
    return outputs


@pytest.mark.parametrize("gate", ["target", "source"])
def test_agrees_with_the_formulas_on_a_dilated_resnet(agrees, gate: str) -> None:
    def forward(plain, image):
        return heads(plain, plain.resnet("backbone", image, 18)[-1][-1], gate, image.shape[-2:])

    agrees(PADNet(FEW, backbone="resnet18", width=1 / 8, gate=gate), forward, (32, 32))


def test_agrees_with_the_formulas_on_hrnet(agrees) -> None:
    def forward(plain, image):
        return heads(plain, hrnet(plain, image), "target", image.shape[-2:])

    agrees(PADNet(FEW, backbone="hrnet18s", width=1 / 8), forward)


def test_costs_what_the_public_code_costs(count) -> None:
    assert count(PADNet, TASKS, gate="source") == 33_357_922
    # The paper has one gate for each task instead of one for each pair of tasks.
    assert count(PADNet, TASKS) == 33_357_922 - 3 * 256 * 256 * 9
    resnet, hrnet18s = 23_508_032, 3_860_720
    inputs = 3 * (2048 - 270) * (64 + 256)  # what the first convolutions of the three tasks read
    assert count(PADNet, TASKS) - count(PADNet, TASKS, backbone="hrnet18s") == resnet - hrnet18s + inputs


def test_one_task_alone_has_nobody_to_hear_from() -> None:
    assert [*PADNet({"depth": 1}, backbone="hrnet18s", width=1 / 8).distillation.parameters()] == []


def test_hrnet_has_no_pretrained_weights() -> None:
    with pytest.raises(ParamsError, match="no pretrained weights of hrnet18s; found 'imagenet'"):
        PADNet(TASKS, backbone="hrnet18s", weights="imagenet")
