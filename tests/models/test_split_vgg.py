"""The split VGG against its formulas and its size."""

from mtlbench.models.split_vgg import SplitVGG


def test_agrees_with_the_formulas(agrees, halved) -> None:
    def forward(plain, image):
        features = halved(plain.vgg16("trunk", image)[-1][-1])
        return {domain: plain.classes(f"heads.{domain}", features) for domain in ("birds", "digits")}

    agrees(SplitVGG({"birds": 5, "digits": 10}, width=1 / 16), forward, (72, 84))


def test_is_one_network_and_three_classifiers(count) -> None:
    backbone = 14_714_688 + 2 * 4_224  # convolutions with biases, BatchNorm
    assert count(SplitVGG, {"a": 5, "b": 3, "c": 7}) == backbone + (5 + 3 + 7) * 513
