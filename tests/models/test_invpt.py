"""InvPT from its formulas, and its cost."""

import math

import torch
import torch.nn.functional as F

from mtlbench.models.invpt import InvPT
from mtlbench.models.swin_single import SwinSingle

from .test_swin_split import backbone, enlarged, joined, layer_norm, linear

TASKS = {"segmentation": 13, "depth": 1, "normals": 3}
FEW = {"segmentation": 5, "depth": 1}


def unit(plain, name, x):
    return plain.norm(f"{name}.1", plain.conv(f"{name}.0", x, padding=1)).relu()


def twice(x):
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def attention(plain, name, features, pool, before):
    """One task's queries and one task's keys after the other, and each head by itself."""
    heads, channels = 2, features[0].shape[1]
    rows = lambda x: x.flatten(2).mT  # noqa: E731
    keys = [rows(F.avg_pool2d(x, pool)) for x in features]
    maps = [plain.conv(f"{name}.query", x, stride=2, padding=1, groups=channels) for x in features]
    size, found, scores = maps[0].shape[-2:], [], []
    for task, queries in enumerate(maps):
        q, parts, kept = linear(plain, f"{name}.q", rows(queries)), [], []
        for head in range(heads):
            own = slice(head * channels // heads, (head + 1) * channels // heads)
            k = torch.cat([linear(plain, f"{name}.k", x)[..., own] for x in keys], 1)
            v = torch.cat([linear(plain, f"{name}.v", x)[..., own] for x in keys], 1)
            score = q[..., own] @ k.mT / math.sqrt(channels / heads)
            if before is not None:
                old = before[task][head]  # (N, keys, height, width) of the stage before
                message = rows(twice(old))
                score = plain.tensors[f"{name}.own"] * score + plain.tensors[f"{name}.before"] * message
            parts.append(score.softmax(-1) @ v)
            kept.append(score.mT.unflatten(2, size))
        merged = linear(plain, f"{name}.project", torch.cat(parts, -1))
        found.append(twice(merged.mT.unflatten(2, size)))
        scores.append(kept)
    return found, scores


def test_agrees_with_the_formulas(agrees) -> None:
    def forward(plain, image):
        *finer, deepest = backbone(plain, image)
        features, initial, found, scores = {}, {}, {task: [] for task in FEW}, None
        for task in FEW:
            own = unit(plain, f"features.{task}.1", unit(plain, f"features.{task}.0", deepest))
            initial[task] = plain.conv(f"initial.{task}", own)
            features[task] = plain.conv(f"mixed.{task}", torch.cat([own, initial[task]], 1))
        for stage, encoder in enumerate(reversed(finer)):
            name = f"stages.{stage}"
            skip = plain.conv(f"{name}.skip", encoder)
            x = [unit(plain, f"{name}.up.{task}", twice(features[task])) + skip for task in FEW]
            calm = [layer_norm(plain, f"{name}.norms.0", y.movedim(1, 3)).movedim(3, 1) for y in x]
            added, scores = attention(plain, f"{name}.attention", calm, 2 ** (stage + 1), scores)
            for task, y, more in zip(FEW, x, added, strict=True):
                y = (y + more).movedim(1, 3)
                hidden = F.gelu(linear(plain, f"{name}.mlp.0", layer_norm(plain, f"{name}.norms.1", y)))
                features[task] = (y + linear(plain, f"{name}.mlp.2", hidden)).movedim(3, 1)
                found[task].insert(0, features[task])
        outputs = {}
        for task in FEW:
            name, x = f"heads.{task}", joined(found[task])
            hidden = plain.norm(f"{name}.hidden.1", plain.conv(f"{name}.hidden.0", x)).relu()
            outputs[task] = enlarged(plain.conv(f"{name}.output", hidden), image)
        return outputs | ({f"{task}/initial": maps for task, maps in initial.items()} if plain.training else {})

    agrees(InvPT(FEW, width=1 / 16, stochastic_depth=0.0), forward, (64, 96))


def test_costs_the_sum_of_its_parts(count) -> None:
    backbone = count(SwinSingle, {"segmentation": 13}) - (1440 * 256 + 256 + 2 * 256 + 13 * 257)
    conv = lambda a, b: 9 * a * b + 2 * b  # noqa: E731
    initial = sum(conv(768, 576) + conv(576, 576) + 577 * k + (576 + k + 1) * 576 for k in TASKS.values())
    stages = 0
    for stage, (inputs, c, encoder) in enumerate([(576, 576, 384), (576, 288, 192), (288, 144, 96)]):
        attention = 9 * c + 4 * (c * c + c) + 2 * (stage > 0)
        stages += 3 * conv(inputs, c) + (encoder + 1) * c + 4 * c + attention + 8 * c * c + 5 * c
    head = sum(1008 * 256 + 256 + 2 * 256 + 257 * k for k in TASKS.values())
    assert count(InvPT, TASKS) == backbone + initial + stages + head
