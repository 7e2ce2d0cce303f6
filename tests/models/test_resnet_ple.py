"""PLE on DeepLabv3 against its formulas and its size."""

import pytest
import torch

from mtlbench.models.resnet_ple import ResNetPLE

TASKS = ("segmentation", "depth")


@pytest.mark.slow
def test_agrees_with_the_formulas(agrees) -> None:
    """One own expert for each task and one shared, on two levels; the shared gate of the first sees all three."""

    def blend(scores, experts):
        return torch.einsum("ne,enchw->nchw", torch.softmax(scores, 1), torch.stack(experts))

    def gate(plain, name, x):
        return x.flatten(2).mean(2) @ plain.tensors[f"{name}.weight"].T + plain.tensors[f"{name}.bias"]

    def forward(plain, image):
        x = plain.stem("stem", image)
        for stage in range(2):
            x = plain.layer(f"layers.{stage}", x, stage, 18)[-1]
        first = {task: plain.layer(f"levels.0.own.{task}.0", x, 2, 18)[-1] for task in TASKS}
        common = plain.layer("levels.0.shared.0", x, 2, 18)[-1]
        features = {task: blend(gate(plain, f"levels.0.gates.{task}", x), [first[task], common]) for task in TASKS}
        names = [*(f"levels.0.shared_gate_own.{task}" for task in TASKS), "levels.0.shared_gate_shared"]
        shared = blend(torch.cat([gate(plain, name, x) for name in names], 1), [*first.values(), common])
        common, outputs = plain.layer("levels.1.shared.0", shared, 3, 18)[-1], {}
        for task in TASKS:
            own = plain.layer(f"levels.1.own.{task}.0", features[task], 3, 18)[-1]
            blended = blend(gate(plain, f"levels.1.gates.{task}", features[task]), [own, common])
            outputs[task] = plain.deeplab_head(f"heads.{task}", blended, image.shape[-2:])
        return outputs

    agrees(ResNetPLE({"segmentation": 5, "depth": 1}, depth=18, dropout=0.0), forward, (32, 32))


def test_adds_experts_and_gates_to_the_split_network(count) -> None:
    layer3, layer4 = 7_098_368, 14_964_736
    gates = 3 * (512 * 2 + 2) + (512 * 4 + 4) + 3 * (1024 * 2 + 2)
    tasks = {"segmentation": 13, "depth": 1, "normals": 3}
    assert count(ResNetPLE, tasks) == 71_888_721 + 3 * (layer3 + layer4) + gates == 138_089_313
