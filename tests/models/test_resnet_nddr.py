"""NDDR-CNN on DeepLabv3, without and with shortcuts, against its formulas and its size."""

import pytest
import torch
import torch.nn.functional as F

from mtlbench.models.resnet_nddr import ResNetNDDR
from mtlbench.models.resnet_nddr_shortcut import ResNetNDDRShortcut


@pytest.mark.parametrize("cls", [ResNetNDDR, pytest.param(ResNetNDDRShortcut, marks=pytest.mark.slow)])
def test_agrees_with_the_formulas(agrees, cls: type[ResNetNDDR | ResNetNDDRShortcut]) -> None:
    tasks = ("segmentation", "depth")

    def forward(plain, image):
        x, layers = {task: plain.stem(f"backbones.{task}.stem", image) for task in tasks}, []
        for stage in range(4):
            x = {task: plain.layer(f"backbones.{task}.layers.{stage}", x[task], stage, 18)[-1] for task in tasks}
            mixed = {}
            for task in tasks:
                one, other = plain.tensors[f"units.{stage}.by_source.{task}"].unbind(1)
                projected = torch.einsum("oi,nihw->nohw", one, x["segmentation"])
                projected = projected + torch.einsum("oi,nihw->nohw", other, x["depth"])
                mixed[task] = plain.norm(f"units.{stage}.norm.{task}", projected).relu()
            x = mixed
            layers.append(mixed)
        if cls is ResNetNDDRShortcut:
            for task in tasks:
                size = {"size": x[task].shape[-2:], "mode": "bilinear", "align_corners": True}
                everything = torch.cat([F.interpolate(mixed[task], **size) for mixed in layers], 1)
                everything = plain.conv(f"shortcuts.{task}.project", everything)
                x = {**x, task: plain.norm(f"shortcuts.{task}.norm", everything).relu()}
        return {task: plain.deeplab_head(f"heads.{task}", x[task], image.shape[-2:]) for task in tasks}

    model = cls({"segmentation": 5, "depth": 1}, depth=18, dropout=0.0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "by_source" in name:
                parameter.add_(torch.randn_like(parameter) / 50)
    agrees(model, forward, (32, 32))


def test_layers_start_near_the_own_features() -> None:
    unit = ResNetNDDR({"segmentation": 5, "depth": 1}, depth=18).units[0]
    features = [torch.rand(2, 64, 4, 4), torch.rand(2, 64, 4, 4)]
    found = unit.eval()(features)
    expected = [0.9 * features[0] + 0.1 * features[1], 0.1 * features[0] + 0.9 * features[1]]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)  # BatchNorm at its start only divides by sqrt(1 + 1e-5)


def test_is_three_networks_and_four_layers(count) -> None:
    networks = 39_636_813 + 39_633_729 + 39_634_243
    parameters = count(ResNetNDDR, {"segmentation": 13, "depth": 1, "normals": 3})
    assert parameters == networks + sum(3 * (3 * width * width + 2 * width) for width in (256, 512, 1024, 2048))
    parameters = count(ResNetNDDR, {"depth": 1, "normals": 3})
    layers = sum(2 * (2 * width * width + 2 * width) for width in (256, 512, 1024, 2048))
    assert parameters == 39_633_729 + 39_634_243 + layers


def test_shortcuts_add_a_projection_of_all_layers_for_each_task(count) -> None:
    tasks = {"segmentation": 13, "depth": 1, "normals": 3}
    projection = (256 + 512 + 1024 + 2048) * 2048 + 2 * 2048
    assert count(ResNetNDDRShortcut, tasks) == count(ResNetNDDR, tasks) + 3 * projection
