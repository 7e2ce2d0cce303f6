"""The rendered domains: labels, balance, determinism, and pictures that show their class."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from mtlbench.datasets.figures.domains import DOMAINS, digit
from mtlbench.datasets.figures.plane import Plane
from mtlbench.datasets.scenes.draw import Draw
from mtlbench.datasets.shapes import Shapes


def load(shapes: Shapes, split: str, index: int) -> dict[str, np.ndarray]:
    return dict(shapes.splits(Path())[split].load(index))


def test_each_picture_has_a_class_in_its_own_domain_only() -> None:
    shapes = Shapes(height=16, width=24, train=20, test=2)
    labels = {name: np.array([load(shapes, "train", i)[name] for i in range(80)]) for name in DOMAINS}
    for position, (name, (classes, _)) in enumerate(DOMAINS.items()):
        own = slice(20 * position, 20 * position + 20)
        assert (np.delete(labels[name], np.r_[own]) == -1).all()
        assert np.ptp(np.bincount(labels[name][own], minlength=len(classes))) <= 1  # equally frequent


def test_the_pictures_are_those_of_version_2() -> None:
    # Golden: without noise and rounded to 16 levels, so that another machine's last digits hardly move them.
    shapes = Shapes(height=16, width=16, train=6, test=1, noise=0.0)
    total = hashlib.sha256()
    for index in range(24):
        total.update((load(shapes, "train", index)["image"].astype(np.int32) // 16).astype(np.uint8).tobytes())
    assert Shapes.version == 2
    assert total.hexdigest() == "cb77ba8bad9eccb5fd12dee6882fbd75e230097980478af3da2b70e2dfdf07db"


def test_picture_i_does_not_depend_on_the_others() -> None:
    one, other = Shapes(train=9, test=1, seed=5), Shapes(train=3, test=1, seed=5)
    assert np.array_equal(load(one, "train", 9 + 2)["image"], load(other, "train", 3 + 2)["image"])
    assert not np.array_equal(load(one, "train", 0)["image"], load(one, "test", 0)["image"])


@pytest.mark.parametrize(("corners", "area"), [(3, 3 * 3**0.5 / 4), (4, 2.0), (5, 2.3776)])
def test_a_regular_polygon_covers_its_area(corners: int, area: float) -> None:
    plane = Plane.of((400, 400))
    # 0.5 %: pixels on the border.
    assert plane.inside(plane.polygon(corners)).sum() * plane.pixel**2 == pytest.approx(area, rel=5e-3)


def test_a_line_is_as_far_as_its_nearest_point() -> None:
    plane = Plane(np.array([0.0, 3.0, 1.0]), np.array([1.0, 0.0, -2.0]), 0.1)
    assert plane.segment((0, 0), (2, 0)).tolist() == pytest.approx([1, 1, 2])


def test_digits_differ_by_their_bars() -> None:
    pictures = [digit(Draw(7), label, (32, 32)) for label in range(10)]
    assert all(not np.allclose(a, b) for i, a in enumerate(pictures) for b in pictures[:i])
    assert pictures[8].mean() > max(picture.mean() for i, picture in enumerate(pictures) if i != 8)


@pytest.mark.parametrize(("name", "ground"), [("digits", "darkest"), ("sketches", "lightest")])
def test_no_figure_is_cut_by_the_border(name: str, ground: str) -> None:
    classes, picture = DOMAINS[name]
    for number in range(40 * len(classes)):
        drawn = picture(Draw(3, number), number % len(classes), (32, 40))
        border = np.concatenate([drawn[:, 0], drawn[:, -1], drawn[:, :, 0], drawn[:, :, -1]], axis=1)
        paper = drawn.min((1, 2)) if ground == "darkest" else drawn.max((1, 2))
        # A tenth of a pixel's coverage: the soft edge of a line that ends within the last pixel.
        assert np.abs(border - paper[:, None]).max() <= 0.1 * np.ptp(drawn), number
