"""Classification of whole images: loss, statistics, metrics and constant against independent computations."""

import numpy as np
import pytest
import torch

from mtlbench.system.errors import ParamsError
from mtlbench.tasks import Task, make_tasks, totals


def task(classes: int, **options: bool) -> Task:
    names = [f"class {number}" for number in range(classes)]
    return make_tasks({"birds": {"kind": "classification", "classes": classes, "class_names": names, **options}})[
        "birds"
    ]


def test_the_loss_and_accuracies_of_a_domain_leave_images_of_others_out() -> None:
    birds = task(3)
    raw = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 5.0]])
    target = torch.tensor([0, 2, -1])
    # -log softmax: log(e^2 + 2) - 2 and log(e + 2) - 0
    expected = (np.log(np.exp(2) + 2) - 2 + np.log(np.e + 2)) / 2
    assert birds.loss(raw, target).item() == pytest.approx(expected, rel=1e-6)
    found = birds.statistics(birds.activate(raw), target)
    assert {name: values.tolist() for name, values in found.items() if name != "confusion"} == {
        "images": [1, 1, 0], "top1": [1, 0, 0]
    }  # fmt: skip
    assert found["confusion"].sum(0).tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert birds.reduce(totals(found)) == {"top1": 0.5}


def test_top_5_needs_more_than_five_classes_and_a_confusion_few() -> None:
    assert [metric.name for metric in task(5).metrics] == ["top1"]
    many = task(60)
    target = torch.arange(20)
    raw = torch.randn(20, 60, generator=torch.Generator().manual_seed(0))
    raw[torch.arange(20), target] = raw.topk(4).values[:, 3] - 1e-3  # the fifth best class is the true one
    found = many.statistics(many.activate(raw), target)
    assert sorted(found) == ["images", "top1", "top5"]
    assert many.reduce(totals(found)) == {"top1": 0.0, "top5": 1.0}


def test_probabilities_are_those_of_the_logits() -> None:
    raw = torch.tensor([[np.log(3.0), 0.0]])
    assert task(2).activate(raw).exp().tolist() == [pytest.approx([0.75, 0.25])]


def test_the_constant_is_the_commonest_class() -> None:
    birds = task(4)
    constant = birds.constant_prediction(totals(birds.target_statistics(torch.tensor([3, 3, 1, -1, -1, -1]))))
    assert constant.exp().tolist() == pytest.approx([1 / 7, 2 / 7, 1 / 7, 3 / 7])


def test_a_class_without_a_name_is_refused() -> None:
    with pytest.raises(ParamsError, match="expected 3 class names, found 1"):
        make_tasks({"classification": {"classes": 3, "class_names": ["a"]}})
