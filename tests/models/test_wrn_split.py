"""The split WRN-28-4 against its formulas and the reference's size."""

from mtlbench.models.wrn_split import WRNSplit

#: Classes of the ten domains of the Visual Decathlon.
DECATHLON = (100, 100, 2, 47, 43, 1000, 1623, 10, 101, 102)


def test_agrees_with_the_formulas(agrees) -> None:
    def forward(plain, image):
        features = plain.wide_resnet("trunk", image)[-1]
        return {domain: plain.classes(f"heads.{domain}", features) for domain in ("birds", "digits")}

    agrees(WRNSplit({"birds": 5, "digits": 10}, width=1 / 4), forward, (42, 36))


def test_costs_what_the_reference_costs(count) -> None:
    domains = {f"domain{number}": classes for number, classes in enumerate(DECATHLON)}
    assert count(WRNSplit, domains) == 5_850_528 + 803_896
