"""What every model must do, checked over all files in models/: a new model needs no line here."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from mtlbench.errors import ParamsError
from mtlbench.models._base import Model, parameter_owners, shared_parameters
from mtlbench.registry import entries

TASKS = {"segmentation": 5, "depth": 1, "normals": 3}
NAMES = list(entries("models"))
SEVERAL = [name for name in NAMES if not entries("models")[name].constants.get("single_task")]


def small(name: str, tasks: dict[str, int] = TASKS, **options: Any) -> Model:
    """A small instance: narrow where the model has a width, shallow where it has a depth."""
    entry = entries("models")[name]
    for option, value in {"width": 1 / 16, "depth": 18}.items():
        if option in entry.options.model_fields:
            options.setdefault(option, value)
    cls = entry.load()
    torch.manual_seed(0)
    return cls(dict([next(iter(tasks.items()))]) if cls.single_task else tasks, **options)


def images(height: int = 64, width: int = 64, count: int = 2) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def predict(model: Model, image: Tensor) -> dict[str, Tensor]:
    """One pass from a fixed seed, so that dropout is the same each time."""
    torch.manual_seed(2)
    return model(image)


@pytest.mark.parametrize("name", NAMES)
def test_gives_a_raw_map_of_the_image_s_size_for_each_task(name: str) -> None:
    model = small(name).eval()
    for height, width in ((32, 96), (96, 64)):
        with torch.no_grad():
            outputs = model(images(height, width))
        assert list(outputs) == list(model.tasks)
        for task, channels in model.tasks.items():
            assert outputs[task].shape == (2, channels, height, width)
            assert outputs[task].isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_another_image_size_is_refused_clearly(name: str) -> None:
    model = small(name)
    model.check_size(64, 32)
    with pytest.raises(ParamsError, match=rf"divisible by {model.size_multiple}, found 64x{32 + 1}.*params.yaml"):
        model.check_size(64, 33)
    with pytest.raises(ParamsError, match="found 33x64"):
        model(images(33, 64))


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_receives_a_gradient(name: str) -> None:
    model = small(name).train()
    outputs = predict(model, images())
    sum((output * torch.randn_like(output)).sum() for output in outputs.values()).backward()
    idle = [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    # A bias before BatchNorm has the gradient 0 in exact arithmetic; rounding makes it small, not absent.
    assert not idle


@pytest.mark.parametrize("name", NAMES)
def test_two_instances_share_no_storage(name: str) -> None:
    one, other = small(name), small(name)
    storages = [{t.untyped_storage().data_ptr() for t in model.state_dict().values()} for model in (one, other)]
    assert not storages[0] & storages[1]
    assert len(storages[0]) == len(one.state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_network(name: str) -> None:
    one, other = small(name).state_dict(), small(name).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_round_trip(name: str) -> None:
    model = small(name).train()
    predict(model, images())
    torch.manual_seed(3)
    twin = type(model)(model.tasks, **_options(name))
    twin.load_state_dict(copy.deepcopy(model.state_dict()))
    for task, output in predict(twin.eval(), images()).items():
        assert torch.equal(output, predict(model.eval(), images())[task])


def _options(name: str) -> dict[str, Any]:
    return {o: v for o, v in {"width": 1 / 16, "depth": 18}.items() if o in entries("models")[name].options.model_fields}


@pytest.mark.parametrize("name", SEVERAL)
def test_the_order_of_the_tasks_only_orders_the_outputs(name: str) -> None:
    model = small(name).eval()
    order = ["normals", "segmentation", "depth"]
    permuted = type(model)({task: TASKS[task] for task in order}, **_options(name)).eval()
    permuted.load_state_dict(permute(model, order))
    with torch.no_grad():
        expected, found = model(images()), permuted(images())
    assert list(found) == order
    for task in order:
        torch.testing.assert_close(found[task], expected[task], rtol=1e-5, atol=1e-5 * expected[task].abs().max().item())


def permute(model: Model, order: list[str]) -> dict[str, Tensor]:
    """The state of ``model`` for another order of tasks; models say which tensors hold a row per task."""
    state = model.state_dict()
    return model.permuted(state, order) if hasattr(model, "permuted") else state


@pytest.mark.parametrize("name", SEVERAL)
def test_a_private_parameter_moves_its_own_task_only(name: str) -> None:
    model = small(name).eval()
    owners = parameter_owners(model)
    with torch.no_grad():
        before = model(images())
        for task in TASKS:
            private = [p for key, p in model.named_parameters() if owners[key] == {task}]
            assert private, f"{task} has no parameter of its own"
            saved = [p.clone() for p in private]
            for parameter in private:
                parameter.mul_(0.5).add_(0.1)
            after = model(images())
            assert [other for other in TASKS if not torch.equal(after[other], before[other])] == [task]
            for parameter, value in zip(private, saved, strict=True):
                parameter.copy_(value)


@pytest.mark.parametrize("name", NAMES)
def test_the_shared_parameters_are_those_that_two_losses_reach(name: str) -> None:
    model = small(name).train()
    outputs = predict(model, images())
    reached: dict[int, int] = {id(parameter): 0 for parameter in model.parameters()}
    for output in outputs.values():
        gradients = torch.autograd.grad(output.sum(), list(model.parameters()), retain_graph=True, allow_unused=True)
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            reached[id(parameter)] += gradient is not None
    shared = shared_parameters(model)
    assert {id(parameter) for parameter in shared} == {key for key, count in reached.items() if count > 1}
    assert bool(shared) != model.single_task


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_autocast_stays_close(name: str) -> None:
    model = small(name).eval()
    with torch.no_grad():
        expected = model(images())
        with torch.autocast("cpu", torch.bfloat16):
            found = model(images())
    for task, output in expected.items():
        # bfloat16 has 8 bits; through some 30 layers the error stays a few per cent of the map's spread.
        error = (found[task].float() - output).square().mean().sqrt() / output.std()
        assert error < 0.1, f"{task}: {error:.3f}"


@pytest.mark.parametrize("name", NAMES)
def test_channels_last_changes_rounding_only(name: str) -> None:
    model = small(name).train()
    twin = copy.deepcopy(model).to(memory_format=torch.channels_last)
    expected = predict(model, images())
    found = predict(twin, images().to(memory_format=torch.channels_last))
    for task, output in expected.items():
        # Another order of summation in float32, through some 30 layers with BatchNorm.
        torch.testing.assert_close(found[task], output, rtol=1e-3, atol=1e-3 * output.abs().max().item())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_compiled_it_gives_the_same_maps_and_gradients(name: str) -> None:
    model = small(name).train()
    compiled = torch.compile(copy.deepcopy(model))
    outputs = [predict(model, images()), predict(compiled, images())]
    for maps in outputs:
        sum((output * output.detach().cos()).sum() for output in maps.values()).backward()
    for task, output in outputs[0].items():
        # Fused kernels round elsewhere, as in another order of summation.
        torch.testing.assert_close(outputs[1][task], output, rtol=1e-3, atol=1e-3 * output.abs().max().item())
