"""The single-task WRN-28-4 against its formulas and the reference's size."""

from mtlbench.models.wrn_single import WRNSingle


def test_agrees_with_the_formulas(agrees) -> None:
    def forward(plain, image):
        return {"birds": plain.classes("heads.birds", plain.wide_resnet("trunk", image)[-1])}

    agrees(WRNSingle({"birds": 5}, width=1 / 4), forward, (42, 36))


def test_costs_what_the_reference_costs(count) -> None:
    assert count(WRNSingle, {"aircraft": 100}) == 5_850_528 + 100 * 257
