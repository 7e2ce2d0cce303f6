"""MTAN on a ResNet for classification against its formulas and the reference's size."""

import pytest

from mtlbench.models.mtan_resnet import MTANResNet


@pytest.mark.parametrize("depth", [18, pytest.param(50, marks=pytest.mark.slow)])
def test_agrees_with_the_formulas(agrees, halved, depth: int) -> None:
    domains = {"birds": 5, "digits": 10} if depth == 18 else {"birds": 5}

    def forward(plain, image):
        def carry(stage, x):
            return x if stage == 3 else halved(plain.bottleneck(f"down.{stage}.0", x))

        layers = plain.resnet("backbone", image, depth, dilated=False)
        before, last = [blocks[-2] for blocks in layers], [blocks[-1] for blocks in layers]
        return {
            domain: plain.classes(f"heads.{domain}", plain.attended(domain, before, last, carry)) for domain in domains
        }

    agrees(MTANResNet(domains, depth=depth), forward, (40, 36))


def test_costs_what_the_reference_costs(count) -> None:
    assert count(MTANResNet, {"a": 5, "b": 3, "c": 7}) == 43_997_967
    three, two = (count(MTANResNet, dict.fromkeys(names, 1)) for names in ("abc", "ab"))
    assert count(MTANResNet, {"a": 1}) == two - (three - two)


@pytest.mark.parametrize("depth", [18, 34])
def test_networks_of_basic_blocks_have_a_quarter_of_the_channels(depth: int) -> None:
    assert MTANResNet({"a": 2}, depth=depth).heads["a"].linear.in_features == 512
