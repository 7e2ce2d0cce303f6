"""MTAN on WRN-28-4 against its formulas and the reference's size."""

from mtlbench.models.wrn_mtan import WRNMTAN

#: Classes of the ten domains of the Visual Decathlon.
DECATHLON = (100, 100, 2, 47, 43, 1000, 1623, 10, 101, 102)


def test_agrees_with_the_formulas(agrees, halved) -> None:
    def forward(plain, image):
        def carry(stage, x):
            return plain.unit("down.3", x) if stage == 3 else halved(plain.unit(f"down.{stage}.0", x))

        maps = plain.wide_resnet("backbone", image)
        return {
            domain: plain.classes(f"heads.{domain}", plain.attended(domain, maps, maps, carry))
            for domain in ("birds", "digits")
        }

    agrees(WRNMTAN({"birds": 5, "digits": 10}, width=1 / 4), forward, (42, 36))


def test_costs_what_the_reference_costs(count) -> None:
    domains = {f"domain{number}": classes for number, classes in enumerate(DECATHLON)}
    assert count(WRNMTAN, domains) == 10_237_656 == 5_850_528 + 803_896 + 10 * 261_344 + 969_792
    assert count(WRNMTAN, {"aircraft": 100}) == 5_850_528 + 100 * 257 + 261_344 + 969_792
