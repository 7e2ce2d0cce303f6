"""A picture of some prepared images of every domain with their classes, so that a person can judge the data."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mtlbench.maps import Classes

_IMAGES = 10
_CELL, _GAP, _LINE, _MARGIN = 110, 8, 20, 12
_INK, _PAPER = (30, 30, 30), (255, 255, 255)


def domain_sheet(folder: Path, domains: Mapping[str, Classes], size: tuple[int, int]) -> Image.Image:
    """A line of at most ten images for each split and domain, evenly spaced among its own, the class below each."""
    height = max(1, round(_CELL * size[0] / size[1]))
    step = height + 2 * _LINE + _GAP
    lines = [(split, name) for split in ("train", "test") for name in domains]
    width = 2 * _MARGIN + _IMAGES * (_CELL + _GAP) - _GAP
    sheet = Image.new("RGB", (width, 2 * _MARGIN + len(lines) * step), _PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for number, (split, name) in enumerate(lines):
        images = np.load(folder / split / "image.npy", mmap_mode="r")
        labels = np.load(folder / split / f"{name}.npy")
        own = np.flatnonzero(labels >= 0)
        chosen = own[np.unique(np.linspace(0, len(own) - 1, min(_IMAGES, len(own))).round().astype(int))]
        top = _MARGIN + number * step
        pen.text((_MARGIN, top), f"{split}, {name}: {len(own)} images", _INK, font)
        for column, index in enumerate(chosen):
            picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(images[index], 0, -1)))
            left = _MARGIN + column * (_CELL + _GAP)
            sheet.paste(picture.resize((_CELL, height), Image.Resampling.NEAREST), (left, top + _LINE))
            text = _fitted(domains[name].names[labels[index]], pen, font)
            pen.text((left, top + _LINE + height + 1), text, _INK, font)
    return sheet


def _fitted(text: str, pen: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """The text, shortened until it is no wider than an image."""
    if pen.textlength(text, font) <= _CELL:
        return text
    while text and pen.textlength(f"{text}…", font) > _CELL:
        text = text[:-1]
    return f"{text}…"
