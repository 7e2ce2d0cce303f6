"""The split ResNet against its formulas and its size."""

from mtlbench.models.split_resnet import SplitResNet


def test_agrees_with_the_formulas(agrees) -> None:
    def forward(plain, image):
        features = plain.resnet("trunk", image, 18, dilated=False)[-1][-1]
        return {domain: plain.classes(f"heads.{domain}", features) for domain in ("birds", "digits")}

    agrees(SplitResNet({"birds": 5, "digits": 10}, depth=18), forward, (40, 36))


def test_is_one_network_and_three_classifiers(count) -> None:
    backbone = 25_557_032 - 1000 * 2049  # torchvision's ResNet-50 without its classifier
    assert count(SplitResNet, {"a": 5, "b": 3, "c": 7}) == backbone + (5 + 3 + 7) * 2049
