"""The colours of lines and parts in every figure and diagram, and those of text on and beside them."""

#: The first three are Okabe and Ito's. All stay apart, and from black, in simulated deuteranopia and protanopia, and
#: have the contrast of 3 with the page that WCAG asks of graphics (tests measure both).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#9060F0", "#0C189C", "#6C300C", "#982068")
#: Contrast of coloured text with white. WCAG asks for 4.5; a tinted lane and deuteranopia take some of it.
_TEXT = 6.0


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours "#RRGGBB" by WCAG 2.2, from 1 to 21."""
    dark, light = sorted((_luminance(first), _luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def text_on(background: str) -> str:
    """White or black, whichever is easier to read on that colour."""
    return max("#FFFFFF", "#000000", key=lambda one: contrast(one, background))


def as_text(colour: str) -> str:
    """The colour, darkened as far as words in it need on white."""
    parts = _parts(colour)
    for step in range(100, 0, -2):
        darker = "#" + "".join(f"{part * step // 100:02X}" for part in parts)
        if contrast(darker, "#FFFFFF") >= _TEXT:
            return darker
    return "#000000"


def _parts(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def _luminance(colour: str) -> float:
    """Relative luminance by WCAG 2.2."""
    shares = [part / 255 for part in _parts(colour)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
