"""Counting parameters and operations, and finding out what is shared."""

import pytest
import torch
from torch import Tensor, nn

from mtlbench.models import Model, meta_twin, parameter_owners, shared_parameters
from mtlbench.models._cost import blueprint, forward_flops, parameter_count
from mtlbench.plan.registry import entry
from mtlbench.system.errors import ParamsError


class Tiny(Model):
    """Two tasks on one convolution; the second also reads a pooled vector."""

    size_multiple = 2

    def __init__(self) -> None:
        super().__init__({"a": 2, "b": 3})
        self.shared = nn.Conv2d(3, 4, 3, padding=1)
        self.one = nn.Conv2d(4, 2, 1)
        self.other = nn.Conv2d(4, 3, 1)
        self.gate = nn.Linear(4, 3)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = self.shared(image)
        gate = self.gate(x.mean((2, 3)))
        return {"a": self.one(x), "b": self.other(x) * gate[..., None, None]}


def test_counts_follow_from_the_layers() -> None:
    model = Tiny()
    assert parameter_count(model) == (3 * 4 * 9 + 4) + (4 * 2 + 2) + (4 * 3 + 3) + (4 * 3 + 3)
    assert forward_flops(model, (4, 6)) == 2 * (24 * (3 * 4 * 9 + 4 * 2 + 4 * 3) + 4 * 3)


def test_counting_leaves_the_model_alone() -> None:
    model = Tiny().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    forward_flops(model, (4, 6))
    parameter_owners(model)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None and parameter.device.type == "cpu" for parameter in model.parameters())


def test_owners_are_found_in_the_graph() -> None:
    owners = parameter_owners(Tiny())
    assert owners == {
        "shared.weight": {"a", "b"}, "shared.bias": {"a", "b"}, "one.weight": {"a"}, "one.bias": {"a"},
        "other.weight": {"b"}, "other.bias": {"b"}, "gate.weight": {"b"}, "gate.bias": {"b"},
    }  # fmt: skip
    model = Tiny()
    assert [id(parameter) for parameter in shared_parameters(model)] == [id(p) for p in model.shared.parameters()]


def test_a_frozen_parameter_belongs_to_nobody() -> None:
    model = Tiny()
    model.shared.weight.requires_grad_(False)
    assert parameter_owners(model)["shared.weight"] == frozenset()


def test_a_wrong_size_is_refused() -> None:
    with pytest.raises(ParamsError, match="Tiny: expected image height and width divisible by 2, found 5x6"):
        forward_flops(Tiny(), (5, 6))


def test_twins_have_no_data_and_blueprints_no_pretrained_weights() -> None:
    assert {parameter.device.type for parameter in meta_twin(Tiny()).parameters()} == {"meta"}
    model = blueprint("resnet_single", {"depth": 1}, {"depth": 18, "weights": "no/such/file.pth"})
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"meta"}
    assert isinstance(model, entry("models", "resnet_single").load())
    with pytest.raises(ParamsError, match=r"segnet_split\.widht: unknown key\. Did you mean 'width'"):
        blueprint("segnet_split", {"depth": 1}, {"widht": 0.5})
