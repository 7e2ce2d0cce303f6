"""MTI-Net against its formulas and its size."""

import torch
import torch.nn.functional as F

from mtlbench.models.blocks.propagation import FeaturePropagation
from mtlbench.models.mti_net import MTINet

from .test_hrnet_split import branches, enlarged

TASKS = {"segmentation": 13, "depth": 1, "normals": 3}
FEW = {"segmentation": 5, "depth": 1, "normals": 2}


def joint(plain, name, features, padding):
    """A convolution of the concatenated features: the sum of those of its pieces."""
    pieces = {task: plain.tensors[f"{name}.pieces.{task}"] for task in FEW}
    return sum(F.conv2d(x, pieces[task], padding=padding) for task, x in features.items())


def joint_block(plain, name, features):
    x = plain.norm(f"{name}.bn1", joint(plain, f"{name}.conv1", features, 1)).relu()
    x = plain.norm(f"{name}.bn2", plain.conv(f"{name}.conv2", x, padding=1))
    return (x + plain.norm(f"{name}.bn_shortcut", joint(plain, f"{name}.shortcut", features, 0))).relu()


def propagated(plain, name, features):
    hidden = plain.basic_block(f"{name}.hidden", joint_block(plain, f"{name}.joint", features), 1, 1, 1)
    scores = torch.stack([plain.conv(f"{name}.scores.{task}", hidden) for task in FEW])
    powers = dict(zip(FEW, (scores - scores.amax(0)).exp(), strict=True))  # the largest is 1: none is infinite
    total = sum(powers.values())
    shared = joint_block(plain, f"{name}.reduce", {t: powers[t] / total * x for t, x in features.items()})
    found = {}
    for task, x in features.items():
        layers = [[plain.tensors[f"{name}.excite.{task}.{part}.{kind}"] for kind in ("weight", "bias")]
                  for part in ("squeeze", "excite")]  # fmt: skip
        factors = F.linear(F.linear(shared.mean((2, 3)), *layers[0]).relu(), *layers[1]).sigmoid()
        found[task] = factors[:, :, None, None] * shared + x
    return found


def behind(plain, scales, image):
    """Everything behind the backbone's four maps."""
    features = [{}] * 4
    for number in (3, 2, 1, 0):
        coarser = propagated(plain, f"propagation.{number}", features[number + 1]) if number < 3 else None
        for task in FEW:
            x = scales[number]
            x = x if coarser is None else torch.cat([x, enlarged(coarser[task], x)], 1)
            for block in (0, 1):
                x = plain.basic_block(f"features.{number}.{task}.{block}", x, 1, 1, 1)
            features[number] = features[number] | {task: x}
    outputs = {}
    for task in FEW:
        distilled = []
        for number, found in enumerate(features):
            total, name = found[task], f"distillation.{task}.{number}"
            for source in FEW:
                if source != task:
                    passing = plain.conv(f"{name}.gates.{source}.0", found[source], padding=1).sigmoid()
                    total = total + passing * plain.conv(f"{name}.convs.{source}", found[source], padding=1)
            distilled.append(total)
        x = torch.cat([enlarged(y, distilled[0]) for y in distilled], 1)
        x = plain.norm(f"heads.{task}.hidden.1", plain.conv(f"heads.{task}.hidden.0", x)).relu()
        outputs[task] = enlarged(plain.conv(f"heads.{task}.output", x), image)
    if plain.training:
        for number, name in enumerate(("scale4", "scale8", "scale16", "scale32")):
            initial = {task: plain.conv(f"initial.{number}.{task}", features[number][task]) for task in FEW}
            outputs |= {f"{task}/{name}": x for task, x in initial.items()}
    return outputs


def test_agrees_with_the_formulas_on_hrnet(agrees) -> None:
    agrees(MTINet(FEW, width=1 / 8), lambda plain, image: behind(plain, branches(plain, image), image))


def test_agrees_with_the_formulas_on_a_resnet_with_a_feature_pyramid(agrees) -> None:
    def forward(plain, image):
        layers = [blocks[-1] for blocks in plain.resnet("backbone.backbone", image, 18, dilated=False)]
        top, scales = None, [None] * 4
        for number in (3, 2, 1, 0):
            own = plain.conv(f"backbone.pyramid.inner_blocks.{number}.0", layers[number])
            top = own if top is None else own + top.repeat_interleave(2, 2).repeat_interleave(2, 3)
            scales[number] = plain.conv(f"backbone.pyramid.layer_blocks.{number}.0", top, padding=1)
        return behind(plain, scales, image)

    agrees(MTINet(FEW, backbone="resnet18", width=1 / 16), forward)


def test_costs_what_the_public_code_costs(count) -> None:
    assert count(MTINet, TASKS) == 12_638_901


def test_masks_of_all_tasks_add_up_to_one() -> None:
    """The published code's softmax runs over neighbouring channels, so its masks of a task do."""
    block = FeaturePropagation(FEW, 8).double()
    seen = {}
    block.reduce.register_forward_pre_hook(lambda module, inputs: seen.update(inputs[0]))
    block({task: torch.ones(2, 8, 4, 4, dtype=torch.float64) for task in FEW})
    torch.testing.assert_close(sum(seen.values()), torch.ones(2, 8, 4, 4, dtype=torch.float64))
    assert (seen["depth"].sum(1) - seen["normals"].sum(1)).abs().min() > 0
