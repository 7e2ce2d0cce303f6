"""DSelect-k on DeepLabv3 against its formulas and its size."""

import pytest
import torch

from mtlbench.models.resnet_dselect_k import ResNetDSelectK


@pytest.mark.slow
def test_agrees_with_the_formulas(agrees) -> None:
    """Two selectors of four experts, whose numbers in binary are 00, 01, 10, 11."""

    def gate(plain, name, mean):
        z = mean @ plain.tensors[f"{name}.digits.weight"].T + plain.tensors[f"{name}.digits.bias"]
        a = mean @ plain.tensors[f"{name}.shares.weight"].T + plain.tensors[f"{name}.shares.bias"]
        s = torch.where(z <= -0.75, 0.0, torch.where(z >= 0.75, 1.0, -2 * z**3 / 1.5**3 + 3 * z / (2 * 1.5) + 0.5))
        weights = 0
        for j in (0, 1):
            high, low = s[:, 2 * j], s[:, 2 * j + 1]
            choice = torch.stack([(1 - high) * (1 - low), (1 - high) * low, high * (1 - low), high * low], 1)
            weights = weights + torch.softmax(a, 1)[:, j : j + 1] * choice
        return weights

    def forward(plain, image):
        x = plain.stem("stem", image)
        for stage in range(3):
            x = plain.layer(f"shared.{stage}", x, stage, 18)[-1]
        experts = torch.stack([plain.layer(f"experts.{n}", x, 3, 18)[-1] for n in range(4)])
        outputs = {}
        for task in ("segmentation", "depth"):
            weights = gate(plain, f"gates.{task}", x.flatten(2).mean(2))
            blended = torch.einsum("ne,enchw->nchw", weights, experts)
            outputs[task] = plain.deeplab_head(f"heads.{task}", blended, image.shape[-2:])
        return outputs

    agrees(ResNetDSelectK({"segmentation": 5, "depth": 1}, depth=18, dropout=0.0, gamma=1.5), forward, (32, 32))


def test_adds_experts_and_gates_to_the_split_network(count) -> None:
    tasks = {"segmentation": 13, "depth": 1, "normals": 3}
    layer4, digits, shares = 14_964_736, 1025 * 2 * 2, 1025 * 2
    assert count(ResNetDSelectK, tasks) == 71_888_721 + 3 * layer4 + 3 * (digits + shares)
    eight = 71_888_721 + 7 * layer4 + 3 * 1025 * (3 * 3 + 3)
    assert count(ResNetDSelectK, tasks, experts=8, k=3) == eight
