"""Beside which published rows a dataset stands: a fact of its class, options and images, never of its label."""

import pytest

from mtlbench.datasets import Dataset
from mtlbench.datasets.cityscapes import CityScapes
from mtlbench.datasets.mtan_npy import MtanNpy
from mtlbench.datasets.nyuv2 import NYUv2
from mtlbench.datasets.rooms import Rooms

NYU = {"train": 795, "test": 654}
CITY = {"train": 2975, "test": 500}


@pytest.mark.parametrize(
    ("dataset", "counts", "wanted"),
    [
        (NYUv2(border="crop"), NYU, "nyuv2"),
        (NYUv2(border="keep"), NYU, None),
        (NYUv2(border="invalid"), NYU, None),
        (NYUv2(border="crop", classes=40), NYU, "nyud"),
        (NYUv2(border="crop", classes=40, height=96, width=128), NYU, "nyud"),
        (NYUv2(border="crop", classes=40), {"train": 24, "test": 12}, None),
        (NYUv2(border="crop", classes=40, checksums="none"), NYU, None),
        (NYUv2(border="crop", depth="raw"), NYU, None),
        (NYUv2(border="crop", height=96, width=128), NYU, None),
        (NYUv2(border="crop", checksums="none", note="rebuilt data"), NYU, None),
        (NYUv2(border="crop"), {"train": 24, "test": 12}, None),
        (CityScapes(classes=7), CITY, "cityscapes7"),
        (CityScapes(classes=2), CITY, "cityscapes2"),
        (CityScapes(classes=19), CITY, "cityscapes19"),
        (CityScapes(inverse_depth="metric"), CITY, None),
        (CityScapes(inverse_depth="pixels"), CITY, None),
        (CityScapes(inverse_depth="auto_lambda"), CITY, None),
        (CityScapes(checksums="none"), CITY, None),
        (CityScapes(), {"train": 2975, "test": 20}, None),
        (MtanNpy(), NYU, "nyuv2"),
        (MtanNpy(), {"train": 795, "test": 12}, None),
        (MtanNpy(layout="cityscapes", classes=7, height=128, width=256), CITY, "cityscapes7"),
        (MtanNpy(layout="cityscapes", classes=7, height=256, width=512), CITY, None),
        (Rooms(), {"train": 795, "test": 654}, None),
    ],
)
def test_only_the_form_of_the_published_tables_stands_beside_them(
    dataset: Dataset, counts: dict[str, int], wanted: str | None
) -> None:
    assert dataset.published_for(counts) == wanted


def test_the_published_codes_test_in_batches() -> None:
    assert NYUv2().published_batch == 2
    assert CityScapes().published_batch == 8
    assert MtanNpy(layout="cityscapes", classes=2).published_batch == 8
