"""BatchNorm of what domains share: against networks of one domain each, in the limit of training, and by its size."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mtlbench.inference.exported import program
from mtlbench.models import Classifier, parameter_owners
from mtlbench.models._cost import forward_flops, parameter_count
from mtlbench.models.blocks.domain_norm import DomainBatchNorm
from mtlbench.plan.registry import entries

TASKS = {"birds": 5, "digits": 10, "signs": 3}
ABLE = [name for name, found in entries("models").items() if "batch_norm" in found.options.model_fields]
NAMES = [name if name == "split_vgg" else pytest.param(name, marks=pytest.mark.slow) for name in ABLE]
HOW = ("statistics", "affine")


def build(name: str, how: str) -> Classifier:
    known = entries("models")[name].options.model_fields
    small = {"width": 1 / 16} if "width" in known else {"depth": 18}
    torch.manual_seed(0)
    return entries("models")[name].load()(TASKS, **small, batch_norm=how)


def alone(model: Classifier, name: str, domain: str) -> Classifier:
    """The network with one BatchNorm for all that holds what ``model`` holds for ``domain``."""
    twin = build(name, "shared").to(next(model.parameters()).dtype)
    state = {}
    for key, value in model.state_dict().items():
        if ".norms." not in key:
            state[key] = value
        elif f".norms.{domain}." in key:
            state[key.replace(f".norms.{domain}", "")] = value
    twin.load_state_dict(state)
    return twin.train(model.training)


def images(count: int = 4) -> Tensor:
    return torch.rand(count, 3, 17, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("name", NAMES)
def test_each_domain_has_the_network_with_its_own_layers(name: str, how: str, randomise: Callable) -> None:
    """Outputs, gradients and the moved statistics, in training and evaluation; nothing of another domain moves."""
    start = randomise(build(name, how)).double()
    for training in (False, True):
        for domain in TASKS:
            model = copy.deepcopy(start).train(training)
            twin = alone(model, name, domain)
            found, expected = (one(images(), only=[domain])[domain] for one in (model, twin))
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
            for output in (found, expected):
                (output * torch.linspace(-1, 1, output.numel()).view_as(output)).sum().backward()
            after = alone(model, name, domain)  # what belongs to the domain, moved as in the twin
            assert_equal(after.state_dict(), twin.state_dict())
            gradients = {key.replace(f".norms.{domain}", ""): p.grad for key, p in model.named_parameters()}
            for key, parameter in twin.named_parameters():
                if parameter.grad is not None:
                    torch.testing.assert_close(gradients[key], parameter.grad, rtol=1e-7, atol=1e-7)
            others = {
                key: value for key, value in model.state_dict().items()
                if ".norms." in key and f".norms.{domain}." not in key
            }  # fmt: skip
            assert_equal(others, {key: start.state_dict()[key] for key in others})


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("how", ["shared", *HOW])
def test_evaluation_is_the_training_of_the_own_domain_in_the_limit(how: str) -> None:
    """Two domains of unlike images in turn: the statistics that each is evaluated with become its batch's own.

    With shared layers they are a mixture, and evaluation is far from what was trained.
    """
    batches = {"birds": images(), "digits": 0.2 * images() ** 3}
    model = build("wrn_mtan", how).double().train()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 0.5
            part.register_forward_pre_hook(_remember_count)
    with torch.no_grad():
        for _ in range(40):
            trained = {domain: model(batch, only=[domain])[domain] for domain, batch in batches.items()}
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d) and part.num_batches_tracked > 0:
                part.running_var *= (part.count - 1) / part.count  # stored: unbiased; normalised by: the batch's own
        evaluated = {domain: model.eval()(batch, only=[domain])[domain] for domain, batch in batches.items()}
    far = max(float((evaluated[d] - trained[d]).norm() / trained[d].std(0).norm()) for d in batches)
    assert far > 1 if how == "shared" else far < 1e-6


def _remember_count(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
    norm.count = inputs[0].numel() // inputs[0].shape[1]


def test_the_parameters_are_those_of_the_shared_network_or_scale_and_offset_more_for_each_domain() -> None:
    def count(name: str, how: str, **options: object) -> int:
        with torch.device("meta"):
            return parameter_count(entries("models")[name].load()(TASKS, **options, batch_norm=how))

    vgg = 2 * (2 * 64 + 2 * 128 + 3 * 256 + 6 * 512)  # scale and offset of VGG16's thirteen convolutions
    wide = 2 * ((16 + 7 * 64) + (64 + 7 * 128) + (128 + 7 * 256) + 256)  # eight norms of each stage, the last one
    down = 2 * (64 + 128 + 256 + 256)
    for name, own in (
        ("split_vgg", vgg),
        ("wrn_split", wide),
        ("wrn_mtan", wide + down),
        ("cross_stitch_vgg", 3 * vgg),
    ):
        shared = count(name, "shared")
        assert count(name, "statistics") == shared
        assert count(name, "affine") == shared + (len(TASKS) - 1) * own


def test_scale_and_offset_belong_to_the_domain_and_the_rest_stays_shared() -> None:
    owners = parameter_owners(build("split_vgg", "affine"))
    assert owners["trunk.blocks.0.0.1.norms.digits.weight"] == {"digits"}
    assert owners["trunk.blocks.0.0.0.weight"] == set(TASKS)
    assert parameter_owners(build("split_vgg", "statistics"))["trunk.blocks.0.0.1.weight"] == set(TASKS)


def test_an_image_of_one_domain_costs_what_it_costs_with_shared_layers() -> None:
    one, other = (forward_flops(build("split_vgg", how), (32, 32), only=["birds"]) for how in ("shared", "affine"))
    assert one == other
    assert forward_flops(build("split_vgg", "affine"), (32, 32)) > 2.5 * one  # each domain's answer by its own layers


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_an_exported_network_answers_by_each_domain_s_layers(randomise: Callable) -> None:
    model = randomise(build("split_vgg", "statistics")).eval()
    image = torch.rand(3, 3, 32, 32)
    found = program(model, (32, 32)).module()(image)
    for domain in TASKS:
        expected = alone(model, "split_vgg", domain)(image, only=[domain])[domain]
        torch.testing.assert_close(found[domain], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_it_is_one_graph_for_the_compiler_whatever_the_domain(randomise: Callable) -> None:
    torch._dynamo.reset()
    model = randomise(build("split_vgg", "affine")).eval()
    compiled = torch.compile(copy.deepcopy(model), backend="eager", fullgraph=True)
    for domain in TASKS:
        image = images().float()
        assert torch.equal(compiled(image, only=[domain])[domain], model(image, only=[domain])[domain])


def test_every_layer_of_the_shared_parts_is_exchanged() -> None:
    model = build("wrn_mtan", "statistics")
    for part in (model.backbone, model.down):
        inside = [name for name, one in part.named_modules() if isinstance(one, nn.BatchNorm2d)]
        assert inside
        assert all(".norms." in name for name in inside)
        assert any(isinstance(one, DomainBatchNorm) for one in part.modules())
    assert not any(isinstance(one, DomainBatchNorm) for one in model.attention.modules())
