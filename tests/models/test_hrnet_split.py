"""HRNet with a head for each task against its formulas and its size."""

import torch
import torch.nn.functional as F

from mtlbench.models.hrnet_split import HRNetSplit

TASKS = {"segmentation": 13, "depth": 1, "normals": 3}


def unit(plain, name, x, stride=1):
    """conv -> BatchNorm, padded by half the kernel."""
    padding = plain.tensors[f"{name}.0.weight"].shape[-1] // 2
    return plain.norm(f"{name}.1", plain.conv(f"{name}.0", x, stride=stride, padding=padding))


def enlarged(x, like):
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=True)


def bottleneck(plain, name, x):
    y = plain.norm(f"{name}.bn1", plain.conv(f"{name}.conv1", x)).relu()
    y = plain.norm(f"{name}.bn2", plain.conv(f"{name}.conv2", y, padding=1)).relu()
    y = plain.norm(f"{name}.bn3", plain.conv(f"{name}.conv3", y))
    return (y + (unit(plain, f"{name}.downsample", x) if name.endswith(".0") else x)).relu()


def exchange(plain, name, features):
    """Two residual blocks on each resolution; then every resolution gets all others, moved to its size."""
    done = []
    for branch, x in enumerate(features):
        for block in (0, 1):
            y = f"{name}.branches.{branch}.{block}"
            x = plain.basic_block(y, x, 1, 1, 1)
        done.append(x)
    fused = []
    for target, own in enumerate(done):
        total = own
        for source, x in enumerate(done):
            path = f"{name}.fusion.paths.{target}.{source}"
            if source > target:
                total = total + enlarged(unit(plain, path, x), own)
            for step in range(target - source):
                x = unit(plain, f"{path}.{step}", x, 2)
                x = x.relu() if step < target - source - 1 else x
            total = total + x if source < target else total
        fused.append(total.relu())
    return fused


def branches(plain, image):
    """The features of the four resolutions, finest first."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])  # float32
    x = ((image.movedim(1, 3) - mean) / deviation).movedim(3, 1)
    for number in (1, 2):
        x = unit(plain, f"backbone.stem.{number}", x, 2).relu()
    for number in (0, 1):
        x = bottleneck(plain, f"backbone.first.{number}", x)
    features = [unit(plain, "backbone.narrow", x).relu(), unit(plain, "backbone.down.0", x, 2).relu()]
    for stage, modules in enumerate((1, 3, 2)):
        if stage:
            features.append(unit(plain, f"backbone.down.{stage}", features[-1], 2).relu())
        for module in range(modules):
            features = exchange(plain, f"backbone.stages.{stage}.{module}", features)
    return features


def backbone(plain, image):
    """All of them at the finest resolution."""
    features = branches(plain, image)
    return torch.cat([features[0], *(enlarged(x, features[0]) for x in features[1:])], 1)


def test_agrees_with_the_formulas(agrees) -> None:
    def forward(plain, image):
        features, outputs = backbone(plain, image), {}
        for task in ("segmentation", "depth"):
            name = f"heads.{task}"
            hidden = plain.norm(f"{name}.hidden.1", plain.conv(f"{name}.hidden.0", features)).relu()
            outputs[task] = enlarged(plain.conv(f"{name}.output", hidden), image)
        return outputs

    agrees(HRNetSplit({"segmentation": 5, "depth": 1}, width=1 / 8), forward)


def test_costs_what_the_reference_costs(count) -> None:
    head = 270 * 270 + 270 + 2 * 270
    assert count(HRNetSplit, TASKS) == 3_860_720 + 3 * head + 17 * (270 + 1)


def test_batchnorm_moves_slowly() -> None:
    model = HRNetSplit({"depth": 1}, width=1 / 8)
    found = {part.momentum for part in model.backbone.modules() if isinstance(part, torch.nn.BatchNorm2d)}
    assert found == {0.01}
