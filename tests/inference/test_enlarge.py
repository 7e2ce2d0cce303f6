import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mtlbench.inference.enlarge import decoded_at
from mtlbench.tasks.depth import Depth
from mtlbench.tasks.normals import Normals
from mtlbench.tasks.segmentation import Segmentation

SIZES = [(48, 97), (31, 20), (300, 4)]


@pytest.mark.parametrize("size", SIZES)
def test_equals_interpolate_whatever_the_bands_are(size: tuple[int, int]) -> None:
    """Half precision at the end: a step of it is 1e-3 of the value, the interpolation itself agrees to 1e-5."""
    raw = torch.rand(1, 24, 32) + 0.5
    expected = F.interpolate(raw[None], size, mode="bilinear", align_corners=False)[0].numpy()
    for most in (1, 1000, 1 << 24):
        found = decoded_at(raw, size, Depth(), most)
        assert found.dtype == np.float16
        assert found.shape == (1, *size)
        np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_classes_are_chosen_after_enlarging() -> None:
    """Between two pixels of class 0 and 1 with scores 3:1 the border lies at a quarter, not in the middle."""
    raw = torch.tensor([[[3.0, -1.0]], [[0.0, 0.0]]])
    task = Segmentation(classes=2, class_names=["a", "b"])
    found = decoded_at(raw, (1, 16), task)
    assert found.tolist() == [[0] * 10 + [1] * 6]  # the centres of the pixels lie at 4 and 12: 4 + 8 * 3 / 4 = 10


def test_normals_stay_unit_vectors() -> None:
    found = decoded_at(torch.randn(3, 5, 7), (20, 30), Normals())
    np.testing.assert_allclose(np.linalg.norm(found.astype(np.float32), axis=0), 1, atol=2e-3)


def test_at_its_own_size_nothing_changes() -> None:
    raw = torch.randn(1, 9, 9)
    assert np.array_equal(decoded_at(raw, (9, 9), Depth()), raw.half().numpy())
