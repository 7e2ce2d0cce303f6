"""The cross-stitched VGGs against their formulas and their size."""

import torch

from mtlbench.models.cross_stitch_vgg import CrossStitchVGG

DOMAINS = {"birds": 5, "digits": 10}


def test_agrees_with_the_formulas(agrees, halved) -> None:
    def forward(plain, image):
        x = dict.fromkeys(DOMAINS, plain.normalised(image))
        for stage in range(5):
            towers = [halved(plain.units(f"backbones.{d}.blocks", x[d], stage)[-1]) for d in DOMAINS]
            alpha = {d: plain.tensors[f"units.{stage}.by_source.{d}"][..., None, None] for d in DOMAINS}
            x = {d: alpha[d][0] * towers[0] + alpha[d][1] * towers[1] for d in DOMAINS}
        return {domain: plain.classes(f"heads.{domain}", x[domain]) for domain in DOMAINS}

    model = CrossStitchVGG(DOMAINS, width=1 / 16)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "by_source" in name:
                parameter.uniform_(-1, 1)
    agrees(model, forward, (72, 84))


def test_its_networks_are_equal_at_first_and_share_no_weights() -> None:
    model = CrossStitchVGG({"a": 2, "b": 2}, width=1 / 16)
    one, other = (model.backbones[name].state_dict() for name in "ab")
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert not {t.data_ptr() for t in one.values()} & {t.data_ptr() for t in other.values()}


def test_is_three_networks_and_their_units(count) -> None:
    backbone = 14_714_688 + 2 * 4_224  # convolutions with biases, BatchNorm
    units = 64 + 128 + 256 + 512 + 512
    assert count(CrossStitchVGG, {"a": 5, "b": 3, "c": 7}) == 3 * backbone + 9 * units + (5 + 3 + 7) * 513
