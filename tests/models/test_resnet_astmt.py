"""Attentive single-tasking against its formulas and its size."""

import torch
import torch.nn.functional as F

from mtlbench.models.resnet_astmt import ResNetASTMT

TASKS = {"segmentation": 5, "depth": 1}


def modulated(plain, name: str, task: str, x, relu: bool = True, **settings: int):
    y = plain.conv(f"{name}.conv", x, **settings)
    if f"{name}.adapters.{task}.weight" in plain.tensors:
        y = y + plain.conv(f"{name}.adapters.{task}", x)
    y = plain.norm(f"{name}.norms.{task}", y)
    y = y.relu() if relu else y
    if f"{name}.excite.{task}.squeeze.weight" not in plain.tensors:
        return y
    factors = y.flatten(2).mean(2)
    for part, activation in (("squeeze", torch.relu), ("excite", torch.sigmoid)):
        weight, bias = (plain.tensors[f"{name}.excite.{task}.{part}.{kind}"] for kind in ("weight", "bias"))
        factors = activation(factors @ weight.T + bias)
    return torch.einsum("nchw,nc->nchw", y, factors)


def bottleneck(plain, name: str, task: str, x, stride: int, rate: int):
    y = modulated(plain, f"{name}.conv1", task, x, stride=stride)
    y = modulated(plain, f"{name}.conv2", task, y, padding=rate, dilation=rate)
    y = modulated(plain, f"{name}.conv3", task, y, relu=False)
    if f"{name}.shortcut.conv.weight" in plain.tensors:
        x = modulated(plain, f"{name}.shortcut", task, x, relu=False, stride=stride)
    return (y + x).relu()


def test_agrees_with_the_formulas(agrees) -> None:
    def single(plain, task, x):
        low = x
        for layer in range(4):
            for block in range(2):
                stride = 2 if block == 0 and layer in (1, 2) else 1
                x = bottleneck(plain, f"layers.{layer}.{block}", task, x, stride, 2 if layer == 3 else 1)
            low = x if layer == 0 else low
        parts = [modulated(plain, "decoder.branches.0", task, x)]
        for number, rate in ((1, 6), (2, 12), (3, 18)):
            parts.append(modulated(plain, f"decoder.branches.{number}", task, x, padding=rate, dilation=rate))
        level = modulated(plain, "decoder.image", task, F.adaptive_avg_pool2d(x, 1))
        parts.append(level.expand_as(parts[0]))
        y = modulated(plain, "decoder.project", task, torch.cat(parts, 1))
        low = modulated(plain, "decoder.low", task, low)
        y = F.interpolate(y, low.shape[-2:], mode="bilinear", align_corners=True)
        y = modulated(plain, "decoder.joined", task, torch.cat([y, low], 1), padding=1)
        return plain.conv(f"outputs.{task}", modulated(plain, "decoder.hidden", task, y, padding=1))

    def forward(plain, image):
        size = {"size": image.shape[-2:], "mode": "bilinear", "align_corners": True}
        stem = plain.stem("stem", image)
        return {task: F.interpolate(single(plain, task, stem), **size) for task in TASKS}

    model = ResNetASTMT(TASKS, depth=26, width=1 / 16)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".adapters." in name:
                parameter.add_(torch.randn_like(parameter) / 10)
    agrees(model, forward, (32, 48))


def test_a_task_adds_adapters_norms_excitation_and_an_output(count) -> None:
    def own(inputs: int, outputs: int, adapted: bool = False, reduction: int = 0) -> int:
        inner = outputs // reduction if reduction else 0
        excitation = inner * (outputs + 1) + (inner + 1) * outputs if reduction else 0
        return 2 * outputs + adapted * inputs * outputs + excitation

    task, shared, inputs = 0, 3 * 64 * 49 + 2 * 64, 64
    for number, blocks in enumerate((3, 4, 6, 3)):
        planes = 64 * 2**number
        for block in range(blocks):
            shared += inputs * planes + 9 * planes**2 + 4 * planes**2
            task += own(inputs, planes) + own(planes, planes, adapted=True) + own(planes, 4 * planes, reduction=16)
            if block == 0:
                shared += inputs * 4 * planes
                task += own(inputs, 4 * planes)
            inputs = 4 * planes
    shared += 2048 * 256 * (1 + 3 * 9 + 1) + 1280 * 256 + 256 * 48 + 9 * 304 * 256 + 9 * 256 * 256
    task += 4 * own(2048, 256, True, 16) + own(2048, 256, False, 16) + own(1280, 256, True, 16)
    task += own(256, 48, True, 4) + own(304, 256, True, 16) + own(256, 256, True, 16)
    tasks = {"segmentation": 13, "depth": 1, "normals": 3}
    assert count(ResNetASTMT, tasks) == shared + 3 * task + 257 * (13 + 1 + 3)
    assert count(ResNetASTMT, {"depth": 1}) == shared + task + 257


def test_tasks_start_with_the_same_convolutions() -> None:
    parameters = dict(ResNetASTMT({"depth": 1, "inverse_depth": 1}, depth=26, width=1 / 16).named_parameters())
    adapters = [parameter for name, parameter in parameters.items() if ".adapters." in name]
    assert len(adapters) == 2 * (8 + 4 + 1 + 1 + 2)
    assert not any(parameter.any() for parameter in adapters)
