"""What every model must do, checked over all files in models/: a new model needs no line here."""

import copy
import functools
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mtlbench.models import (
    LastFeatures,
    Model,
    last_layers,
    outputs_by_task,
    parameter_owners,
    part_parameters,
    shared_parameters,
)
from mtlbench.plan.registry import entries
from mtlbench.system.errors import ParamsError

TASKS = {"segmentation": 5, "depth": 1, "normals": 3}


def options(name: str) -> dict[str, Any]:
    """Options that make an instance small: few filters, or where that cannot be set, few layers."""
    known = entries("models")[name].options.model_fields
    small = {"width": 1 / 8, "backbone": "hrnet18s"} if "width" in known else {"depth": 18}
    return {option: value for option, value in small.items() if option in known}


def _marked(name: str) -> Any:
    """ResNets have no narrow form, so only one of each family is quick enough to run each time."""
    slow = "depth" in options(name) and name not in ("resnet_split", "split_resnet")
    return pytest.param(name, marks=pytest.mark.slow) if slow else name


NAMES = [_marked(name) for name in entries("models")]
CLASSIFIERS = [name for name, entry in entries("models").items() if entry.constants.get("predicts") == "classes"]
SEVERAL = [_marked(name) for name, entry in entries("models").items() if not entry.constants.get("single_task")]


def build(name: str, order: Sequence[str] = tuple(TASKS)) -> Model:
    """A small instance, always the same."""
    cls = entries("models")[name].load()
    torch.manual_seed(0)
    return cls({task: TASKS[task] for task in (order[:1] if cls.single_task else order)}, **options(name))


_built = functools.cache(build)


def small(name: str) -> Model:
    """What :func:`build` gives, copied because that is quicker."""
    return copy.deepcopy(_built(name))


def images(height: int = 32, width: int = 64, count: int = 2) -> Tensor:
    """Smooth random images."""
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def predict(model: Model, image: Tensor, seed: int = 2) -> dict[str, Tensor]:
    """One pass from a fixed seed, so that dropout and other draws are the same each time."""
    torch.manual_seed(seed)
    return model(image)


def all_outputs(model: Model, image: Tensor) -> dict[str, list[Tensor]]:
    """{task: its final and its auxiliary outputs}, as in training but with BatchNorm and dropout as in evaluation."""
    model.eval().training = True
    return outputs_by_task(model, predict(model, image))


def assert_near(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], tolerance: float, floor: float = 0.0
) -> None:
    """Maps that differ by at most ``tolerance`` times the largest value, or ``floor`` times the largest of all."""
    least = floor * max(float(output.detach().abs().max()) for output in expected.values())
    for task, output in expected.items():
        error, largest = (found[task] - output).abs().max(), output.abs().max().clamp(min=least)
        assert error <= tolerance * largest, f"{task}: {error / largest:.2e}"


@pytest.mark.parametrize("name", NAMES)
def test_gives_a_raw_map_of_the_image_s_size_or_logits_for_each_task(name: str) -> None:
    model = small(name).eval()
    for height, width in ((33, 20), (72, 84)) if name in CLASSIFIERS else ((32, 96), (64, 32)):
        with torch.no_grad():
            outputs = model(images(height, width))
        assert list(outputs) == list(model.tasks)
        for task, channels in model.tasks.items():
            assert outputs[task].shape == (2, channels) + (() if name in CLASSIFIERS else (height, width))
            assert outputs[task].isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_auxiliary_outputs_are_told_and_there_in_training_only(name: str) -> None:
    model = small(name).eval()
    with torch.no_grad():
        final = predict(model, images())
        model.training = True
        found = predict(model, images())
    assert list(final) == list(model.tasks)
    assert set(found) == {*final, *(f"{task}/{part}" for task in model.tasks for part in model.auxiliary)}
    assert_near(found, final, 0)
    for key in found.keys() - final.keys():
        task = key.rpartition("/")[0]
        assert found[key].shape[:2] == final[task].shape[:2]
        assert found[key].dim() == final[task].dim()
        assert found[key].isfinite().all()
    assert all(multiple > 0 for multiple in model.auxiliary.values())


@pytest.mark.parametrize("name", [_marked(name) for name in CLASSIFIERS])
def test_a_classifier_computes_what_the_named_tasks_need_and_no_more(name: str, randomise: Callable) -> None:
    model = randomise(small(name)).train()
    owners, whole = parameter_owners(model), model(images())
    for task in model.tasks:
        model = randomise(small(name)).train()
        found = model(images(), only=[task])
        assert list(found) == [task]
        assert_near(found, {task: whole[task]}, 0)
        found[task].sum().backward()
        assert {key for key, p in model.named_parameters() if p.grad is not None} == {
            key for key, tasks in owners.items() if task in tasks
        }
        steps = {key: buffer for key, buffer in model.named_buffers() if key.endswith("num_batches_tracked")}
        needed = {key: bool({task} & owners[key.replace("num_batches_tracked", "weight")]) for key in steps}
        assert {key: bool(count) for key, count in steps.items()} == needed


@pytest.mark.parametrize("name", NAMES)
def test_another_image_size_is_refused_clearly(name: str) -> None:
    model = small(name)
    model.check_size(64, 32)
    if model.size_multiple == 1:
        model.check_size(33, 7)
        return
    with pytest.raises(ParamsError, match=rf"divisible by {model.size_multiple}, found 64x33.*params.yaml"):
        model.check_size(64, 33)
    with pytest.raises(ParamsError, match="found 33x64"):
        model(images(33, 64))


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_receives_a_gradient(name: str, randomise: Callable) -> None:
    # With random stored BatchNorm statistics, a bias before BatchNorm counts too (in training it cancels). But a unit
    # before a ReLU can be silent, a sigmoid saturated, or a branch not drawn, for one draw of them; what is not used is
    # silent for all.
    silent = {key for key, _ in small(name).named_parameters()}
    for draw in range(8):
        model = randomise(small(name), draw)
        trains = draw % 2 == 1
        outputs = (
            outputs_by_task(model, predict(model.train(), images(), draw)) if trains else all_outputs(model, images())
        )
        sum((output * torch.randn_like(output)).sum() for found in outputs.values() for output in found).backward()
        silent &= {key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()}
        if not silent:
            break
    assert sorted(silent) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_that_it_names_have_parameters_and_none_twice(name: str) -> None:
    model = small(name)
    assert all(list(getattr(model, attribute).parameters()) for _, attribute in model.parts)
    found = [id(parameter) for part in dict(model.parts) for parameter in part_parameters(model, part)]
    assert len(found) == len(set(found)) < len(list(model.parameters()))


@pytest.mark.parametrize("name", NAMES)
def test_two_instances_share_no_storage(name: str) -> None:
    one, other = build(name).state_dict(), build(name).state_dict()
    storages = [{tensor.untyped_storage().data_ptr() for tensor in state.values()} for state in (one, other)]
    assert not storages[0] & storages[1]
    assert len(storages[0]) == len(one), "tensors of one instance share their storage"
    assert all(torch.equal(one[key], other[key]) for key in one), "the same seed gave other weights"


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_round_trip(name: str) -> None:
    model = small(name).train()
    predict(model, images())
    twin = build(name)
    twin.load_state_dict(copy.deepcopy(model.state_dict()))
    assert_near(twin.eval()(images()), model.eval()(images()), 0)


@pytest.mark.parametrize("name", SEVERAL)
def test_the_order_of_the_tasks_only_orders_the_outputs(name: str, randomise: Callable) -> None:
    model = randomise(small(name)).double().eval()
    order = ["normals", "segmentation", "depth"]
    permuted = build(name, order).double().eval()
    rows = torch.tensor([list(TASKS).index(task) for task in order])
    # By convention ``by_source`` tensors hold the source tasks, in their order, in the last dimension but one.
    state = {k: v.index_select(-2, rows) if ".by_source." in k else v for k, v in model.state_dict().items()}
    permuted.load_state_dict(state)
    with torch.no_grad():
        expected, found = model(images().double()), permuted(images().double())
    assert list(found) == order
    assert_near(found, expected, 1e-9)  # sums over the tasks round in another order


@pytest.mark.parametrize("name", SEVERAL)
def test_a_private_parameter_moves_its_own_task_only(name: str, randomise: Callable) -> None:
    model = randomise(small(name))
    owners = parameter_owners(model)
    with torch.no_grad():
        before = all_outputs(model, images())
        for task in TASKS:
            private = [parameter for key, parameter in model.named_parameters() if owners[key] == {task}]
            assert private, f"{task} has no parameter of its own"
            saved = [parameter.clone() for parameter in private]
            for parameter in private:
                parameter.mul_(0.5).add_(0.1)
            after = all_outputs(model, images())
            assert [other for other in TASKS if not all(map(torch.equal, after[other], before[other]))] == [task]
            for parameter, value in zip(private, saved, strict=True):
                parameter.copy_(value)


@pytest.mark.parametrize("name", NAMES)
def test_the_shared_parameters_are_those_that_two_losses_reach(name: str) -> None:
    model = small(name).train()
    outputs = outputs_by_task(model, predict(model, images()))
    reached = dict.fromkeys(map(id, model.parameters()), 0)
    for found in outputs.values():
        total = sum(output.sum() for output in found)
        gradients = torch.autograd.grad(total, list(model.parameters()), retain_graph=True, allow_unused=True)
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            reached[id(parameter)] += gradient is not None
    shared = shared_parameters(model)
    assert [id(parameter) for parameter in shared] == [key for key, count in reached.items() if count > 1]
    assert bool(shared) != model.single_task


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_autocast_stays_close(name: str, randomise: Callable) -> None:
    model = randomise(small(name)).eval()
    with torch.no_grad():
        expected = model(images())
        with torch.autocast("cpu", torch.bfloat16):
            found = model(images())
    for task, output in expected.items():
        error = (found[task].float() - output).square().mean().sqrt()
        if name in CLASSIFIERS:  # a mean over the image averages rounding out; measured: at most 0.02
            assert error < 0.05 * output.square().mean().sqrt(), f"{task}: {error:.3f}"
            continue
        # bfloat16 has 8 bits: 0.4 % for each of some 30 layers, and where a maximum moves within its window,
        # unpooling moves it by a pixel. Unrelated maps differ by 1.4.
        assert error < 0.5 * output.std(), f"{task}: {error / output.std():.3f}"


@pytest.mark.parametrize("name", NAMES)
def test_channels_last_changes_rounding_only(name: str, randomise: Callable) -> None:
    model = randomise(small(name)).eval()
    expected = model(images())
    found = model.to(memory_format=torch.channels_last)(images().to(memory_format=torch.channels_last))
    assert_near(found, expected, 1e-4)  # other kernels add in another order, in some 30 layers of float32


@pytest.mark.parametrize("name", NAMES)
def test_runs_under_deterministic_algorithms(name: str) -> None:
    model = small(name).train()
    torch.use_deterministic_algorithms(True)
    try:
        sum(output.sum() for output in predict(model, images()).values()).backward()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*entries("models")])
def test_is_one_graph_for_the_compiler(name: str, randomise: Callable) -> None:
    check_compiled(randomise(small(name)), backend="aot_eager")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="no C++ compiler")
@pytest.mark.parametrize("name", ["segnet_mtan", "resnet_split"])  # between them they have all special operations
def test_fully_compiled_it_gives_the_same_maps_and_gradients(name: str, randomise: Callable) -> None:
    check_compiled(randomise(small(name)), backend="inductor")


def check_compiled(model: Model, backend: str) -> None:
    """Maps and gradients of the compiled model against those of the model.

    In float64: fused kernels round otherwise, and in float32 that can switch a ReLU or move a maximum.
    """
    torch._dynamo.reset()  # it counts what one process compiles and gives up at 8
    model.double().eval().training = True  # with its auxiliary outputs
    compiled = torch.compile(copy.deepcopy(model), backend=backend, fullgraph=True)
    expected, found = model(images().double()), compiled(images().double())
    assert_near(found, expected, 1e-8)
    weights = {task: torch.randn_like(output) for task, output in expected.items()}
    for maps in (expected, found):
        sum((output * weights[task]).sum() for task, output in maps.items()).backward()
    expected, found = ({key: p.grad for key, p in one.named_parameters()} for one in (model, compiled._orig_mod))
    unused = [key for key, gradient in expected.items() if gradient is None]  # what only training reads
    assert all(found.pop(key) is None and expected.pop(key) is None for key in unused)
    # The gradient of a key's bias is 0 (softmax takes no notice of it), and what is left of it rounding.
    assert_near(found, expected, 1e-8, floor=1e-6)


@pytest.mark.parametrize("name", SEVERAL)
def test_the_last_features_of_each_task_are_found(name: str) -> None:
    """Each task's output is an affine map of its own features: no other part of the network comes after them."""
    model = small(name).train()
    layers, owners, features = last_layers(model), parameter_owners(model), LastFeatures(model)
    assert {task: owners[f"{layer.path}.weight"] for task, layer in layers.items()} == {
        task: {task} for task in model.tasks
    }
    kept: dict[str, Tensor] = {}
    for task, layer in layers.items():
        model.get_submodule(layer.path).register_forward_pre_hook(
            lambda _, inputs, task=task: kept.update({task: inputs[0]})
        )
    outputs = predict(model, images())
    for task, rows in features.take().items():
        assert rows.shape == (2, features.channels[task])
        seed = torch.ones_like(outputs[task])
        (first,) = torch.autograd.grad(outputs[task], kept[task], seed, retain_graph=True, create_graph=True)
        assert first.any()
        assert not first.requires_grad or not _depends(first, kept[task])


def _depends(value: Tensor, on: Tensor) -> bool:
    (found,) = torch.autograd.grad(value.sum(), on, allow_unused=True, retain_graph=True)
    return found is not None and bool(found.any())
