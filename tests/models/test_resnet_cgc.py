"""CGC on DeepLabv3 against its formulas and its size."""

import pytest
import torch

from mtlbench.models.resnet_cgc import ResNetCGC


@pytest.mark.slow
def test_agrees_with_the_formulas(agrees) -> None:
    """Two own experts and one shared: for each task a softmax of three over the mean of layer3."""

    def forward(plain, image):
        x = plain.stem("stem", image)
        for stage in range(3):
            x = plain.layer(f"layers.{stage}", x, stage, 18)[-1]
        mean, outputs = x.flatten(2).mean(2), {}
        common = plain.layer("levels.0.shared.0", x, 3, 18)[-1]
        for task in ("segmentation", "depth"):
            experts = [*(plain.layer(f"levels.0.own.{task}.{n}", x, 3, 18)[-1] for n in (0, 1)), common]
            scores = mean @ plain.tensors[f"levels.0.gates.{task}.weight"].T
            gate = torch.softmax(scores + plain.tensors[f"levels.0.gates.{task}.bias"], 1)
            blended = torch.einsum("ne,enchw->nchw", gate, torch.stack(experts))
            outputs[task] = plain.deeplab_head(f"heads.{task}", blended, image.shape[-2:])
        return outputs

    model = ResNetCGC({"segmentation": 5, "depth": 1}, depth=18, dropout=0.0, own_experts=2)
    agrees(model, forward, (32, 32))


def test_adds_experts_and_gates_to_the_split_network(count) -> None:
    tasks = {"segmentation": 13, "depth": 1, "normals": 3}
    layer4, gate = 14_964_736, 1024 * 2 + 2
    assert count(ResNetCGC, tasks) == 71_888_721 + 3 * layer4 + 3 * gate == 116_789_079
    wider = 71_888_721 + 7 * layer4 + 3 * (1024 * 4 + 4)
    assert count(ResNetCGC, tasks, own_experts=2, shared_experts=2) == wider
