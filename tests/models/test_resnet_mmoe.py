"""MMoE on DeepLabv3 against its formulas and its size."""

import pytest
import torch

from mtlbench.models.resnet_mmoe import ResNetMMoE


@pytest.mark.parametrize("first", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_agrees_with_the_formulas(agrees, first: int) -> None:
    def forward(plain, image):
        x = plain.stem("stem", image)
        for stage in range(first - 1):
            x = plain.layer(f"shared.{stage}", x, stage, 18)[-1]
        experts = []
        for expert in range(2):
            y = x
            for number, stage in enumerate(range(first - 1, 4)):
                y = plain.layer(f"experts.{expert}.{number}", y, stage, 18)[-1]
            experts.append(y)
        outputs = {}
        for task in ("segmentation", "depth"):
            weight, bias = plain.tensors[f"gates.{task}.weight"], plain.tensors[f"gates.{task}.bias"]
            gate = torch.softmax(x.flatten(2).mean(2) @ weight.T + bias, 1)
            blended = torch.einsum("ne,enchw->nchw", gate, torch.stack(experts))
            outputs[task] = plain.deeplab_head(f"heads.{task}", blended, image.shape[-2:])
        return outputs

    model = ResNetMMoE({"segmentation": 5, "depth": 1}, depth=18, dropout=0.0, experts=2, first_expert_layer=first)
    agrees(model, forward, (32, 32))


def test_adds_experts_and_gates_to_the_split_network(count) -> None:
    layer4, gate = 14_964_736, 1024 * 3 + 3
    tasks = {"segmentation": 13, "depth": 1, "normals": 3}
    assert count(ResNetMMoE, tasks) == 71_888_721 + 2 * layer4 + 3 * gate
    two = 71_888_721 - 16_125_440 - 3 * 257
    assert count(ResNetMMoE, {"segmentation": 13, "depth": 1}) == two + 2 * layer4 + 2 * gate
