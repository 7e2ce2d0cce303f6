"""Pictures of any size, mode and common format, as 8-bit RGB the right way up."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mtlbench.system.errors import DataError

#: What is read, by Pillow's name of the format: no decoder that starts another program.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
#: Files of a folder that are taken for pictures.
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
#: 134 million, the most that is decoded.
MOST_PIXELS = 1 << 27

Picture = str | Path | Image.Image | np.ndarray


def read_rgb(picture: Picture) -> np.ndarray:
    """(H, W, 3) uint8 of a file, a Pillow image, or an array (H, W, 3) or (H, W) uint8.

    Turned as EXIF says; grey becomes RGB, 16-bit grey is divided by 257, what is transparent is laid on white, of an
    animation the first frame counts. Raises DataError that names the picture.
    """
    if isinstance(picture, np.ndarray):
        return _of_array(picture)
    if isinstance(picture, Image.Image):
        return _of_image(picture, "image")
    path = Path(picture)
    if not path.is_file():
        raise DataError(f"{path}: expected a picture, found {'a folder' if path.is_dir() else 'no such file'}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures and odd metadata; what matters is an error below
            with Image.open(path, formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    found = f"{image.width}x{image.height}"
                    raise DataError(f"{path}: expected at most {MOST_PIXELS} pixels, found {found}")
                return _of_image(image, str(path))
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(f"{path}: expected a picture ({', '.join(FORMATS)}), found something else") from None
    except Exception as error:  # a damaged picture raises almost anything
        why = " ".join(str(error).split())[:120]
        raise DataError(f"{path}: expected a whole picture, it cannot be decoded ({why})") from None


def _of_array(picture: np.ndarray) -> np.ndarray:
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (3,)):
        raise DataError(
            f"image: expected an array (height, width, 3) or (height, width) of uint8, found {picture.dtype} "
            f"{picture.shape}"
        )
    return np.repeat(picture[..., None], 3, 2) if picture.ndim == 2 else picture


def _of_image(image: Image.Image, where: str) -> np.ndarray:
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise DataError(f"{where}: expected whole-number pixels, found floating-point ones; save it as 8-bit PNG")
    if image.mode.startswith("I"):  # 16-bit grey, "I" or "I;16" by Pillow's version
        values = np.asarray(image).astype(np.int64)
        grey = np.clip((values + 128) // 257, 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, 2)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))
