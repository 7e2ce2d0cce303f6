"""The cross-stitched ResNets against their formulas and their size."""

import pytest
import torch

from mtlbench.models.cross_stitch_resnet import CrossStitchResNet

DOMAINS = {"birds": 5, "digits": 10}


@pytest.mark.slow
def test_agrees_with_the_formulas(agrees) -> None:
    def forward(plain, image):
        x = {domain: plain.stem(f"backbones.{domain}.stem", image) for domain in DOMAINS}
        for stage in range(4):
            towers = [plain.layer(f"backbones.{d}.layers.{stage}", x[d], stage, 18, dilated=False)[-1] for d in DOMAINS]
            alpha = {d: plain.tensors[f"units.{stage}.by_source.{d}"][..., None, None] for d in DOMAINS}
            x = {d: alpha[d][0] * towers[0] + alpha[d][1] * towers[1] for d in DOMAINS}
        return {domain: plain.classes(f"heads.{domain}", x[domain]) for domain in DOMAINS}

    model = CrossStitchResNet(DOMAINS, depth=18)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "by_source" in name:
                parameter.uniform_(-1, 1)
    agrees(model, forward, (40, 36))


def test_its_networks_are_equal_at_first_and_share_no_weights() -> None:
    model = CrossStitchResNet({"a": 2, "b": 2}, depth=18)
    one, other = (model.backbones[name].state_dict() for name in "ab")
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert not {t.data_ptr() for t in one.values()} & {t.data_ptr() for t in other.values()}


def test_is_three_networks_and_their_units(count) -> None:
    backbone = 25_557_032 - 1000 * 2049  # torchvision's ResNet-50 without its classifier
    units = 256 + 512 + 1024 + 2048
    assert count(CrossStitchResNet, {"a": 5, "b": 3, "c": 7}) == 3 * backbone + 9 * units + (5 + 3 + 7) * 2049
