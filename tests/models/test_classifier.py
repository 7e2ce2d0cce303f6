"""What the base of all classifiers does for them."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from mtlbench.models import Classifier, parameter_owners, shared_parameters
from mtlbench.system.errors import ParamsError


class _Means(Classifier):
    """Linear classifiers on a linear map of the mean colour."""

    def __init__(self, tasks: dict[str, int]) -> None:
        super().__init__(tasks)
        self.trunk = nn.Linear(3, 4)
        self.heads = nn.ModuleDict({task: nn.Linear(4, classes) for task, classes in self.tasks.items()})

    def forward(self, image: Tensor, only: Sequence[str] | None = None) -> dict[str, Tensor]:
        features = self.trunk(image.mean((2, 3)))
        return {task: self.heads[task](features) for task in self.chosen(only)}


def test_only_the_tasks_that_are_asked_for_are_computed_in_the_network_s_order() -> None:
    model = _Means({"birds": 5, "digits": 10, "signs": 3})
    image = torch.rand(2, 3, 7, 9)
    whole = model(image)
    assert {task: tuple(logits.shape) for task, logits in whole.items()} == {
        "birds": (2, 5), "digits": (2, 10), "signs": (2, 3)
    }  # fmt: skip
    part = model(image, only=("signs", "birds"))
    assert list(part) == ["birds", "signs"]
    assert torch.equal(part["signs"], whole["signs"])
    assert model(image, only=()) == {}
    with pytest.raises(ValueError, match=r"expected tasks among birds, digits, signs, found 'sign'"):
        model(image, only=("sign",))


def test_parameters_of_a_classifier_are_shared_where_two_losses_reach_them() -> None:
    model = _Means({"birds": 5, "digits": 10})
    assert parameter_owners(model)["trunk.weight"] == {"birds", "digits"}
    assert [id(p) for p in shared_parameters(model)] == [id(p) for p in model.trunk.parameters()]


@pytest.mark.parametrize("name", ["train", "type", "training", "items", "v1.0", ""])
def test_a_domain_that_pytorch_cannot_hold_is_named(name: str) -> None:
    with pytest.raises(ParamsError, match=rf"task '{name}' cannot name parts of a network.*Rename the task or domain"):
        _Means({"birds": 2, name: 3})
    assert list(_Means({"vgg-flowers": 2, "visages à l'huile": 3}).heads) == ["vgg-flowers", "visages à l'huile"]


def test_a_classifier_says_that_it_predicts_classes() -> None:
    assert _Means({"birds": 2}).predicts == "classes"
