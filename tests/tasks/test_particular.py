"""What only one task has."""

import numpy as np
import pytest
import torch

from mtlbench.system.errors import ParamsError
from mtlbench.tasks.depth import Depth
from mtlbench.tasks.inverse_depth import InverseDepth
from mtlbench.tasks.normals import Normals
from mtlbench.tasks.segmentation import Segmentation


def test_a_class_that_occurs_nowhere_does_not_count() -> None:
    task = Segmentation(classes=3, class_names=["a", "b", "c"])
    confusion = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    # IoU 3/4 and 4/5; class c is in neither prediction nor target
    assert task.reduce({"confusion": confusion})["miou"] == pytest.approx((0.75 + 0.8) / 2)


def test_a_class_only_predicted_has_iou_zero() -> None:
    task = Segmentation(classes=3, class_names=["a", "b", "c"])
    assert task.reduce({"confusion": np.array([[3, 0, 1], [0, 4, 0], [0, 0, 0]])})["miou"] == pytest.approx(1.75 / 3)


def test_confusion_has_targets_in_rows() -> None:
    task = Segmentation(classes=2, class_names=["a", "b"])
    scores = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]])  # left pixel: class 0, right pixel: class 1
    target = torch.tensor([[[1, 1]]], dtype=torch.int8)
    assert task.statistics(scores, target)["confusion"].tolist() == [[[0, 0], [1, 1]]]


def test_number_of_names_must_fit() -> None:
    with pytest.raises(ParamsError, match="expected 3 class names, found 2"):
        Segmentation(classes=3, class_names=["a", "b"])


def test_depth_range_must_be_in_order() -> None:
    with pytest.raises(ParamsError, match="near < far"):
        Depth(near=3.0, far=2.0)


def test_inverse_depth_carries_its_unit() -> None:
    assert InverseDepth(unit="1/m").metrics[0].unit == "1/m"
    assert InverseDepth().metrics[0].unit == ""


def test_a_normal_whose_channels_add_up_to_zero_counts() -> None:
    task = Normals()
    target = torch.tensor([0.5**0.5, 0.0, -(0.5**0.5)]).view(1, 3, 1, 1).half()
    assert task.valid(target).item()
    assert task.statistics(task.activate(target), target)["count"].item() == 1


@pytest.mark.parametrize("degrees", [0.03, 1.0, 30.0, 89.0, 150.0, 180.0])
def test_angles_are_exact(degrees: float) -> None:
    task = Normals()
    radians = np.radians(degrees)
    raw = torch.tensor([np.sin(radians), 0.0, -np.cos(radians)]).view(1, 3, 1, 1) * 3
    target = torch.tensor([0.0, 0.0, -1.0]).view(1, 3, 1, 1)
    angle = task.statistics(task.activate(raw), target)["angle"].item()
    # float32; near 180 degrees the chord is flat and loses digits
    assert angle == pytest.approx(degrees, abs=1e-4 if degrees < 100 else 0.05)


def test_zero_output_has_a_finite_gradient() -> None:
    raw = torch.zeros(1, 3, 2, 2, requires_grad=True)
    target = torch.tensor([0.0, 0.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    Normals().loss(raw, target).backward()
    assert torch.isfinite(raw.grad).all()


def test_negative_depth_is_an_error_like_any_other() -> None:
    task = Depth()
    totals = {k: v.sum(0).numpy() for k, v in task.statistics(-torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1, 1)).items()}
    assert task.reduce(totals) == {"abs_error": 2.0, "rel_error": 2.0}
