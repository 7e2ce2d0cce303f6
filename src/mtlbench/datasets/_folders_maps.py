"""The files of one image of a folder of one's own: labels, depth, normals; all that is wrong with one is told."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mtlbench.datasets.geometry.unit import point_away, unit_normals
from mtlbench.datasets.raw.arrays import read_array
from mtlbench.datasets.raw.pictures import MOST_PIXELS, read_picture
from mtlbench.system.errors import ParamsError

#: Metres; what is farther was read with the wrong step.
_FARTHEST = 1000.0
#: Values of a label picture at most, and classes: 16 bits of one, the int8 of prepared labels of the other.
_VALUES, _CLASSES = 65536, 127
#: Wrong values that a message shows.
_SHOWN = 5


def check_classes(classes: Mapping[str, int], void: Sequence[int]) -> None:
    """Raise ParamsError unless the classes can be told apart: 2 to 127 of them, each with a value of its own."""
    if not 2 <= len(classes) <= _CLASSES:
        raise ParamsError(f"folders: expected 2 to {_CLASSES} classes, found {len(classes)}")
    names: dict[int, str] = dict.fromkeys(void, "void")
    for name, value in classes.items():
        if value in names:
            raise ParamsError(f"folders: expected a value for each class, {value} is {names[value]} and {name}")
        names[value] = name


def labels(path: Path, classes: Mapping[str, int], void: Sequence[int], problems: list[str]) -> np.ndarray | None:
    """Class indices (H, W) int8, -1 = void, from the grey levels or palette indices of a PNG file."""
    pixels = _grey(path, "whose grey level or palette index is the class", problems)
    if pixels is None:
        return None
    table = np.full(_VALUES, -2, np.int8)
    table[list(void)] = -1
    table[list(classes.values())] = np.arange(len(classes))
    found = table[pixels]
    if wrong := np.unique(pixels[found == -2]).tolist():
        shown = ", ".join(map(str, wrong[:_SHOWN])) + (" ..." if len(wrong) > _SHOWN else "")
        problems.append(
            f"expected the values of the classes ({', '.join(map(str, sorted(classes.values())))}) and of void "
            f"({', '.join(map(str, void))}), found {shown} in {int((found == -2).sum())} pixels"
        )
    return found


def depth(path: Path, step: float, problems: list[str]) -> np.ndarray | None:
    """Depth (1, H, W) float16 in metres, 0 = invalid, from a grey PNG file or an array (H, W), times ``step``."""
    values = _array(path, 2, problems) if path.suffix.lower() == ".npy" else _grey(path, "of 8 or 16 bits", problems)
    if values is None:
        return None
    low, high = float(values.min()) * step, float(values.max()) * step
    if low < 0 or high > _FARTHEST:
        problems.append(
            f"expected depths of 0 (invalid) to {_FARTHEST:g} m, found {low:g} to {high:g}; is `depth: {step:g}` right "
            "(metres of one step)?"
        )
    return (np.clip(values * step, 0, _FARTHEST))[None].astype(np.float16)


def normals(path: Path, axes: str, problems: list[str], remarks: dict[str, int]) -> np.ndarray | None:
    """Unit vectors (3, H, W) float16 in camera axes, (0, 0, 0) = invalid.

    From an array (H, W, 3), or from the colours of a PNG file: 0 to 255 for -1 to 1; black and middle grey = invalid.
    """
    values = _array(path, 3, problems) if path.suffix.lower() == ".npy" else _directions(path, problems)
    if values is None:
        return None
    n = unit_normals(np.moveaxis(values, -1, 0), problems, remarks)
    if axes == "opengl":
        n = n * np.array([1, -1, -1], n.dtype)[:, None, None]
    if point_away(n):
        other = "camera" if axes == "opengl" else "opengl"
        problems.append(f"many normals point away from the camera under `normals: {axes}`; is it {other}?")
    return n.astype(np.float16)


def _directions(path: Path, problems: list[str]) -> np.ndarray | None:
    colours = read_picture(path, str(path))
    if colours.dtype != np.uint8 or colours.ndim != 3 or colours.shape[2] != 3:
        problems.append(f"expected 8-bit RGB, found {_form(colours)}")
        return None
    invalid = (colours == 0).all(2) | ((colours == 127) | (colours == 128)).all(2)
    return np.where(invalid[..., None], np.float32(0), colours.astype(np.float32) / 127.5 - 1)


def _grey(path: Path, what: str, problems: list[str]) -> np.ndarray | None:
    """The numbers (H, W) of a PNG file of one channel."""
    pixels = read_picture(path, str(path))
    if pixels.ndim != 2:
        problems.append(f"expected a picture of one channel {what}, found {_form(pixels)}")
        return None
    return pixels.astype(np.int32)


def _array(path: Path, dimensions: int, problems: list[str]) -> np.ndarray | None:
    values = read_array(path, 3 * MOST_PIXELS)
    if values.ndim != dimensions or (dimensions == 3 and values.shape[2] != 3) or not values.size:
        form = "(height, width, 3)" if dimensions == 3 else "(height, width)"
        problems.append(f"expected the shape {form}, found {values.shape}")
        return None
    if bad := int((~np.isfinite(values)).sum()):
        problems.append(f"{bad} values are NaN or infinite; write 0 for invalid ones")
        return None
    return values.astype(np.float32)


def _form(pixels: np.ndarray) -> str:
    channels = {3: "RGB colours", 4: "RGB colours with transparency", 2: "grey with transparency"}
    if pixels.ndim == 2:
        return "one channel"
    return channels.get(pixels.shape[2], f"{pixels.shape[2]} channels")
