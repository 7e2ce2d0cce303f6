"""MTAN on VGG16 against its formulas and the reference's size."""

from mtlbench.models.mtan_vgg16 import MTANVGG16


def test_agrees_with_the_formulas(agrees, halved) -> None:
    def forward(plain, image):
        stages = plain.vgg16("backbone", image)
        first, last = [units[0] for units in stages], [units[-1] for units in stages]
        attended = {
            domain: plain.attended(domain, first, last, lambda stage, x: halved(plain.unit(f"down.{stage}.0", x)))
            for domain in ("birds", "digits")
        }
        return {domain: plain.classes(f"heads.{domain}", x) for domain, x in attended.items()}

    agrees(MTANVGG16({"birds": 5, "digits": 10}, width=1 / 16), forward, (72, 84))


def test_costs_what_the_reference_costs(count) -> None:
    assert count(MTANVGG16, {"a": 5, "b": 3, "c": 7}) == 26_510_415
    masks = sum(
        (2 - (f == 64 and not stage)) * f * f + f * f + 6 * f for stage, f in enumerate((64, 128, 256, 512, 512))
    )
    assert count(MTANVGG16, {"a": 5, "b": 3}) == 26_510_415 - masks - 7 * 513
