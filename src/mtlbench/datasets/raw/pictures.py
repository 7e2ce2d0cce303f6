"""Reading one picture: what its header states is looked at before anything is decoded."""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from mtlbench.system.errors import DataError

#: 33 million; the largest picture of the supported data sets has 2.1 million.
MOST_PIXELS = 1 << 25


def read_picture(content: bytes | Path, where: str, mode: str | None = None) -> np.ndarray:
    """The pixels (H, W) or (H, W, C) of a PNG file, turned into Pillow's ``mode`` when one is given.

    Raises DataError, beginning with ``where``, for other formats, damage, and pictures of more than MOST_PIXELS
    pixels: these are refused by their header, so memory stays bounded.
    """
    source = io.BytesIO(content) if isinstance(content, bytes) else content
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is lower
            # Only PNG: other decoders of Pillow start programs (EPS) and have limits of their own.
            with Image.open(source, formats=["PNG"]) as file:
                _check_size(file.size, where)
                # Pillow gives 16-bit pictures as "I" or "I;16", depending on its version.
                return np.asarray(file if mode is None else file.convert(mode))
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{where}: expected at most {MOST_PIXELS} pixels: {error}") from None
    except Exception as error:  # a damaged picture raises almost anything
        raise DataError(f"{where}: expected a whole PNG picture ({_reason(error)}). Get the file again") from None


def _check_size(size: tuple[int, int], where: str) -> None:
    if size[0] * size[1] > MOST_PIXELS:
        raise DataError(
            f"{where}: expected a picture of at most {MOST_PIXELS} pixels, its header states {size[0]} x {size[1]}; "
            "this is not an original file"
        )


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split()).replace("<_io.BytesIO object at ", "<")
