"""The split DeepLabv3 against its formulas and its published size."""

from mtlbench.models.resnet_split import ResNetSplit


def test_agrees_with_the_formulas(agrees) -> None:
    def forward(plain, image):
        features = plain.resnet("backbone", image, 18)[-1][-1]
        return {
            task: plain.deeplab_head(f"heads.{task}", features, image.shape[-2:]) for task in ("segmentation", "depth")
        }

    agrees(ResNetSplit({"segmentation": 5, "depth": 1}, depth=18, dropout=0.0), forward, (32, 32))


def test_costs_what_the_reference_costs(count) -> None:
    assert count(ResNetSplit, {"segmentation": 13, "depth": 1, "normals": 3}) == 71_888_721
    backbone = 71_888_721 - 3 * 16_125_440 - (13 + 1 + 3) * 257
    assert count(ResNetSplit, {"segmentation": 13, "depth": 1}) == backbone + 2 * 16_125_440 + (13 + 1) * 257
