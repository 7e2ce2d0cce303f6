"""LDC-MTL's router: its total and all gradients against a plain re-computation in float64."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtlbench.models import LastFeatures, Model
from mtlbench.plan.registry import entry
from mtlbench.system.errors import ParamsError
from mtlbench.weightings import Weighting

from ..host_checks import HostChecks  # noqa: TID252

TASKS = {"segmentation": 5, "depth": 1, "normals": 3}
#: Networks, and where their authors' last features are: in front of the convolutions without anything between them, of
#: the last one, of the classifier.
NETWORKS = {
    "segnet_split": ({"width": 1 / 16}, "heads.{task}"),
    "segnet_mtan": ({"width": 1 / 16}, "network.heads.{task}"),
    "hrnet_split": ({"width": 1 / 16}, "heads.{task}.output"),
    "wrn_split": ({"width": 1 / 16}, "heads.{task}.linear"),
}


@pytest.fixture(autouse=True)
def _float64():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def network(name: str) -> nn.Module:
    """A small one, in training."""
    return entry("models", name).load()(TASKS, **NETWORKS[name][0]).train()


def squares(outputs: dict[str, Tensor]) -> list[Tensor]:
    """A loss of each task, far from each other when they are normalised."""
    return [factor * (outputs[task] - 1).square().mean() for task, factor in zip(TASKS, (1.0, 0.3, 2.0), strict=True)]


def total(model: nn.Module, router: nn.Linear, image: Tensor, path: str) -> tuple[Tensor, Tensor, Tensor]:
    """The total, the shares and the losses of the first losses 1, 0.5 and 2, from features that this keeps itself."""
    seen: dict[str, Tensor] = {}
    for task in TASKS:
        part = model.get_submodule(path.replace("{task}", task))
        part.register_forward_pre_hook(lambda _, inputs, task=task: seen.update({task: inputs[0]}))
    losses = torch.stack(squares(model(image)))
    pooled = [x if x.dim() == 2 else F.adaptive_avg_pool2d(x, 1).flatten(1) for x in seen.values()]
    scores = router.weight @ torch.cat(pooled, 1).mean(0) + router.bias
    shares = (scores.exp() / scores.exp().sum()).clip(0.2, 0.8)
    weighted = shares * losses / torch.tensor([2.0, 1.0, 4.0])
    differences = (weighted[0] - weighted[1]).abs() + (weighted[1] - weighted[2]).abs()
    return weighted.sum() / shares.sum() + 0.05 * differences, shares, losses


def attached(model: nn.Module, penalty: float = 0.05, bias=(0.3, 0.0, -0.2)) -> Weighting:
    """The method with first losses of 1, 0.5 and 2, and shares near 0.42, 0.32 and 0.26."""
    method = entry("weightings", "ldc_mtl").load()(list(TASKS), penalty=penalty, router=True)
    method.attach(LastFeatures(model))
    method.first.copy_(torch.tensor([1.0, 0.5, 2.0]))
    with torch.no_grad():
        method.router.weight.mul_(0.1)
        method.router.bias.copy_(torch.tensor(bias))
    return method


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_those_of_the_total(name: str) -> None:
    model, image = network(name), torch.rand(3, 3, 32, 32)
    plain = copy.deepcopy(model)
    method = attached(model)
    weights = method.backward(squares(model(image)), [])
    expected, shares, losses = total(plain, method.router, image, NETWORKS[name][1])
    assert ((shares > 0.2) & (shares < 0.8)).all(), "inside the limits, where they have a gradient"
    torch.testing.assert_close(method.logs()["share_depth"], shares[1].detach())
    own, *wanted = torch.autograd.grad(expected, [losses, *plain.parameters(), *method.router.parameters()])
    torch.testing.assert_close(weights, own)
    found = [parameter.grad for parameter in (*model.parameters(), *method.router.parameters())]
    for gradient, right in zip(found, wanted, strict=True):
        # A bias in front of BatchNorm has no gradient but for rounding.
        torch.testing.assert_close(gradient, right, rtol=1e-7, atol=1e-9)


def test_nothing_flows_through_a_share_at_a_limit() -> None:
    model = network("segnet_split")
    method = attached(model, bias=(9.0, 0.0, 0.0))
    method.backward(squares(model(torch.rand(2, 3, 32, 32))), [])
    assert [float(share) for share in method.logs().values()] == [0.8, 0.2, 0.2]
    assert not method.router.weight.grad.any()


def test_a_loss_that_is_not_finite_spares_the_other_tasks_and_the_router() -> None:
    model = network("segnet_split")
    method = attached(model)
    first, second, third = squares(model(torch.rand(2, 3, 32, 32)))
    method.backward([first, second * torch.nan, third], [])
    finite = {task: head[1].weight.grad.isfinite().all() for task, head in model.heads.items()}
    assert finite == {"segmentation": True, "depth": False, "normals": True}
    assert method.router.weight.grad.isfinite().all()


def test_a_step_does_not_wait_for_the_device() -> None:
    model = network("wrn_split")
    method = attached(model)
    losses = squares(model(torch.rand(2, 3, 32, 32)))
    with HostChecks():
        method.backward(losses, [])
        method.logs()


def test_features_are_those_of_the_last_pass_in_training_alone() -> None:
    model = network("segnet_split")
    method, image = attached(model), torch.rand(2, 3, 32, 32)
    model(image)
    first = method.shares()
    model(image)
    with torch.no_grad():
        model(1 - image)
    model.eval()(1 - image)
    torch.testing.assert_close(method.shares(), first)


def test_without_features_it_says_what_is_missing() -> None:
    method = entry("weightings", "ldc_mtl").load()(["a", "b"], router=True)
    with pytest.raises(RuntimeError, match=r"with its router, attach\(features\) must be called"):
        method.backward([torch.ones((), requires_grad=True)] * 2, [])


class _Odd(Model):
    """Two tasks whose outputs come from one layer, or from BatchNorm."""

    def __init__(self, shared: bool) -> None:
        super().__init__({"a": 1, "b": 1})
        self.conv = nn.Conv2d(3, 1, 1)
        self.norm = nn.Identity() if shared else nn.BatchNorm2d(1)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {task: self.norm(self.conv(scale * image)) for task, scale in (("a", 1.0), ("b", 2.0))}


@pytest.mark.parametrize(("shared", "message"), [(True, "'conv' is used 2 times"), (False, "found none")])
def test_a_network_without_a_last_layer_of_each_task_is_refused(shared: bool, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        LastFeatures(_Odd(shared))
