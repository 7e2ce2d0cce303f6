"""Pictures of every mode that people have, and what is no picture."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtlbench.datasets.raw.photos import read_rgb
from mtlbench.system.errors import DataError

GREY = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)


def saved(folder: Path, image: Image.Image, name: str = "a.png", **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_grey_of_8_and_16_bits(tmp_path: Path) -> None:
    wide = Image.fromarray(GREY.astype(np.uint16) * 257)
    grey = {"a.png": Image.fromarray(GREY), "b.png": wide, "b.tif": wide, "c.tif": wide.convert("I")}
    for name, image in grey.items():
        found = read_rgb(saved(tmp_path, image, name))
        assert found.dtype == np.uint8
        assert np.array_equal(found, np.repeat(GREY[..., None], 3, 2)), image.mode


def test_palette_and_one_bit(tmp_path: Path) -> None:
    image = Image.fromarray(GREY).convert("P")
    image.putpalette([value for i in range(256) for value in (i, 255 - i, 7)])
    expected = np.stack([GREY, 255 - GREY, np.full_like(GREY, 7)], -1)
    assert np.array_equal(read_rgb(saved(tmp_path, image)), expected)
    bits = Image.fromarray(GREY > 100)
    assert np.array_equal(read_rgb(saved(tmp_path, bits))[..., 1], np.where(GREY > 100, 255, 0))


def test_what_is_transparent_is_laid_on_white(tmp_path: Path) -> None:
    colours = np.zeros((2, 2, 4), np.uint8)
    colours[0] = (200, 100, 50, 255)
    colours[1] = (200, 100, 50, 0)
    found = read_rgb(saved(tmp_path, Image.fromarray(colours, "RGBA")))
    assert found[0, 0].tolist() == [200, 100, 50]
    assert found[1, 0].tolist() == [255, 255, 255]
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    found = read_rgb(saved(tmp_path, palette, transparency=0))
    assert found.tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_cmyk(tmp_path: Path) -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    found = read_rgb(saved(tmp_path, image, "a.jpg", quality=95))
    assert np.abs(found.astype(int) - [255, 0, 0]).max() <= 3


def test_the_right_way_up(tmp_path: Path) -> None:
    """EXIF orientation 6: the camera was turned, the picture is to be shown turned clockwise by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    found = read_rgb(saved(tmp_path, Image.fromarray(GREY), exif=exif))
    assert np.array_equal(found[..., 0], np.rot90(GREY, -1))


def test_arrays_and_images_are_taken_too() -> None:
    colours = np.repeat(GREY[..., None], 3, 2)
    assert read_rgb(colours) is colours
    assert np.array_equal(read_rgb(GREY), colours)
    assert np.array_equal(read_rgb(Image.fromarray(GREY)), colours)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.png", "no such file"),
        ("folder", "found a folder"),
        ("text.jpg", "found something else"),
        ("cut.png", "cannot be decoded"),
        ("float.tif", "floating-point"),
    ],
)
def test_what_is_no_picture_is_named_in_one_line(tmp_path: Path, name: str, message: str) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    elif name == "text.jpg":
        path.write_text("hello")
    elif name == "cut.png":
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
        path.write_bytes(saved(tmp_path, Image.fromarray(noise), "whole.png").read_bytes()[:2000])
    elif name == "float.tif":
        Image.fromarray(GREY.astype(np.float32)).save(path)
    with pytest.raises(DataError, match=message) as caught:
        read_rgb(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("array", [GREY.astype(np.float32), np.zeros((3, 4, 4), np.uint8), np.zeros(5, np.uint8)])
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"expected an array \(height, width, 3\).*uint8, found"):
        read_rgb(array)
