"""What every weighting must do, over all that are found."""

import copy
import inspect

import pytest
import torch
from torch import nn

from mtlbench.plan import registry

from ..host_checks import HostChecks  # noqa: TID252

ENTRIES = registry.entries("weightings")
NAMES = list(ENTRIES)
GRADIENT = [name for name, entry in ENTRIES.items() if entry.constants.get("needs_gradients")]
LOSS = [name for name in NAMES if name not in GRADIENT]
# Draw random numbers at every step.
RANDOM = {"rlw", "pcgrad", "gradvac", "graddrop"}
# Compare each task with the next one, so the order of the tasks counts (as in the paper).
ORDERED = {"ldc_mtl", "pcd"}
# Task-specific parameters get the gradient of a transformed loss, so a multiple of their own gradient.
TRANSFORMED = {"db_mtl": lambda value: 1 / value, "imtl": lambda value: 1.0}


def jacobian(kind: str, count: int) -> torch.Tensor:
    random = torch.randn(count, 12, generator=torch.Generator().manual_seed(count))
    signs = torch.where(torch.arange(count) % 2 == 0, 1.0, -1.0)[:, None]
    return {
        "random": random,
        "parallel": random[:1] * torch.arange(1.0, count + 1)[:, None],
        "opposite": random[:1] * signs,
        "zero": torch.zeros_like(random),
        "one zero": torch.cat([torch.zeros_like(random[:1]), random[1:]]),
        "tiny": random * 1e-12,
        "huge": random * 1e12,
        "mixed": random * torch.logspace(-6, 6, count)[:, None],
    }[kind]


def three_epochs(weighting, problem, epochs=3):
    """Gradients and weights of an epoch of one step each, with all hooks called as the training loop does."""
    history = []
    for epoch in range(epochs):
        torch.manual_seed(epoch)
        weighting.begin_epoch(epoch, history)
        gradient, weights = problem.step(weighting)
        history.append([float(value) for value in problem.values])
        if weighting.wants_losses_after_step:
            weighting.after_step(problem.values * 0.9)
        yield gradient, weights


@pytest.mark.parametrize("count", [2, 3, 10])
@pytest.mark.parametrize("kind", ["random", "parallel", "opposite", "zero", "one zero", "tiny", "huge", "mixed"])
@pytest.mark.parametrize("name", NAMES)
def test_weights_and_gradients_are_finite(name, kind, count, problem, weighting):
    given = problem(jacobian(kind, count))
    for gradient, weights in three_epochs(weighting(name, count), given):
        assert weights.shape == (count,)
        assert not weights.requires_grad
        assert weights.isfinite().all()
        assert gradient.isfinite().all()
        assert all(head.grad.isfinite().all() for head in given.heads)


@pytest.mark.parametrize("name", NAMES)
def test_zero_losses_are_harmless(name, problem, weighting):
    """A batch without a valid pixel: loss 0 with a zero gradient."""
    rows = jacobian("one zero", 3)
    for gradient, weights in three_epochs(weighting(name, 3), problem(rows, [0.0, 1.0, 2.0])):
        assert weights.isfinite().all()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("count", [2, 3, 10])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"rlw", "pcd"}])
def test_equal_tasks_get_equal_weights(name, count, problem, weighting):
    given = problem(jacobian("random", count)[:1].repeat(count, 1), [1.5] * count)
    for _, weights in three_epochs(weighting(name, count), given):
        # 1e-5: sums in another order, times the condition of systems of identical gradients.
        torch.testing.assert_close(weights, weights[:1].expand(count), rtol=1e-5, atol=0)
        assert (weights > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_one_task_is_plain_training(name, problem, weighting):
    given = problem(jacobian("random", 1), [0.3])
    for gradient, weights in three_epochs(weighting(name, 1), given):
        assert weights.tolist() == [1.0]
        assert torch.equal(gradient, given.jacobian[0])
        assert torch.equal(given.heads[0].grad, given.head_gradient(0))


@pytest.mark.parametrize("name", NAMES)
def test_without_shared_parameters(name, problem, weighting):
    given = problem(jacobian("random", 3))
    method = weighting(name, 3)
    weights = method.backward(given.losses(), [])
    assert weights.isfinite().all()
    assert all(value.isfinite() for value in method.logs().values())
    for task, head in enumerate(given.heads):
        factor = weights[task] if name in LOSS else TRANSFORMED.get(name, lambda value: 1.0)(given.values[task])
        torch.testing.assert_close(head.grad, factor * given.head_gradient(task))


@pytest.mark.parametrize("name", NAMES)
def test_task_specific_parameters_get_their_own_gradient(name, problem, weighting):
    given = problem(jacobian("random", 3))
    for _, weights in three_epochs(weighting(name, 3), given):
        for task, head in enumerate(given.heads):
            factor = weights[task] if name in LOSS else TRANSFORMED.get(name, lambda value: 1.0)(given.values[task])
            torch.testing.assert_close(head.grad, factor * given.head_gradient(task))


@pytest.mark.parametrize("name", NAMES)
def test_nan_in_one_task_stays_visible_and_spares_other_heads(name, problem, weighting):
    rows = jacobian("random", 3)
    rows[1] = torch.nan
    given = problem(rows, [1.0, float("nan"), 2.0])
    method = weighting(name, 3)
    method.begin_epoch(0, [])
    gradient, _ = given.step(method)
    assert given.heads[0].grad.isfinite().all()
    assert given.heads[2].grad.isfinite().all()
    assert gradient.isnan().all()
    if name in GRADIENT:
        assert method.logs()["grad_norm_task1"].isnan()
        assert method.logs()["grad_norm_task0"].isfinite()


def _run(weighting, given, optimiser, epochs, history):
    for epoch in epochs:
        torch.manual_seed(100 + epoch)
        weighting.begin_epoch(epoch, history)
        losses = given.losses()
        optimiser.zero_grad()
        weighting.backward(losses, given.shared)
        optimiser.step()
        history.append([float(loss.detach()) for loss in losses])
        if weighting.wants_losses_after_step:
            with torch.no_grad():
                weighting.after_step(torch.stack(given.losses()))


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_continues_bit_for_bit(name, problem, weighting):
    """Seven epochs (stch and dwa change after some) against four, a save and a load into new objects, and three."""

    def fresh():
        given = problem(jacobian("random", 3) * 0.01, [2.0, 3.0, 4.0])
        method = weighting(name, 3)
        parameters = [*given.shared, *given.heads, *method.parameters()]
        return given, method, torch.optim.Adam(parameters, lr=1e-3)

    whole, method, optimiser = fresh()
    history = []
    _run(method, whole, optimiser, range(4), history)
    saved = [value.detach().clone() for value in (*whole.shared, *whole.heads)]
    state = {key: value.clone() for key, value in method.state_dict().items()}
    adam = copy.deepcopy(optimiser.state_dict())

    resumed, other, other_optimiser = fresh()
    for parameter, value in zip((*resumed.shared, *resumed.heads), saved, strict=True):
        parameter.data.copy_(value)
    told = {key: tuple(value.shape) for key, value in other.state_dict().items()} | other.lazy_shapes(resumed.shared)
    assert {key: tuple(value.shape) for key, value in state.items()} == told, "checkpoints are checked by these shapes"
    other.load_state_dict(state)
    other_optimiser.load_state_dict(adam)
    other_history = [list(row) for row in history]
    _run(method, whole, optimiser, range(4, 7), history)
    _run(other, resumed, other_optimiser, range(4, 7), other_history)
    assert history == other_history
    for ours, theirs in zip((*whole.shared, *whole.heads), (*resumed.shared, *resumed.heads), strict=True):
        assert torch.equal(ours, theirs)
    for key, value in method.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


@pytest.mark.parametrize("name", [name for name in NAMES if name not in RANDOM | ORDERED])
def test_order_of_the_tasks_does_not_matter(name, problem, weighting):
    rows, values = jacobian("random", 4), [0.5, 1.0, 2.0, 3.0]
    order = [2, 0, 3, 1]
    straight = list(three_epochs(weighting(name, 4), problem(rows, values)))
    turned = list(three_epochs(weighting(name, 4), problem(rows[order], [values[i] for i in order])))
    for (gradient, weights), (other_gradient, other_weights) in zip(straight, turned, strict=True):
        # 1e-5: sums of float32 numbers in another order.
        torch.testing.assert_close(weights[order], other_weights, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(gradient, other_gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_a_step_neither_waits_for_the_device_nor_depends_on_its_timing(name, count, problem, weighting):
    given = problem(jacobian("random", count))
    method = weighting(name, count)
    losses = given.losses()
    method.begin_epoch(0, [])
    after = given.values * 0.9
    with HostChecks():
        method.backward(losses, given.shared)
        method.logs()
        if method.wants_losses_after_step:
            method.after_step(after)


def test_the_check_of_operations_works():
    with pytest.raises(AssertionError, match="waits"), HostChecks():
        torch.ones(()).item()
    with pytest.raises(AssertionError, match="waits"), HostChecks():
        torch.ones(3)[torch.ones(3, dtype=torch.bool)]
    with pytest.raises(AssertionError, match="deterministic"), HostChecks():
        torch.ones(3).cumsum(0)


@pytest.mark.parametrize("name", GRADIENT)
def test_one_backward_pass_for_each_task(name, problem, weighting):
    given = problem(jacobian("random", 3))
    passes = []
    losses = given.losses()
    for loss in losses:
        loss.register_hook(lambda gradient: passes.append(1))
    reached = []
    given.shared[0].register_hook(lambda gradient: reached.append(1))
    weighting(name, 3).backward(losses, given.shared)
    assert (len(passes), len(reached)) == (3, 3)


@pytest.mark.parametrize("name", LOSS)
def test_one_backward_pass_in_all(name, problem, weighting):
    given = problem(jacobian("random", 3))
    reached = []
    given.shared[0].register_hook(lambda gradient: reached.append(1))
    weighting(name, 3).backward(given.losses(), given.shared)
    assert len(reached) == 1


@pytest.mark.parametrize("name", GRADIENT)
def test_gradient_methods_log_norms_and_cosines(name, problem, weighting):
    given = problem([[3.0, 4.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]], [1.0, 1.0])
    method = weighting(name, 2)
    keys = []
    for _ in three_epochs(method, given):
        logs = method.logs()
        keys.append(set(logs))
        # 1e-6: db_mtl differentiates log(L + 1e-8), and L = 1.
        assert float(logs["grad_norm_task0"]) == pytest.approx(5.0, rel=1e-6)
        assert float(logs["grad_norm_task1"]) == pytest.approx(2.0, rel=1e-6)
        assert float(logs["cosine_task0_task1"]) == pytest.approx(0.8, rel=1e-6)
    assert keys[0] == keys[1] == keys[2]


@pytest.mark.parametrize("name", GRADIENT)
def test_gradients_keep_the_memory_format_of_their_parameters(name, problem, weighting):
    given = problem(jacobian("random", 2))
    given.step(weighting(name, 2))
    for parameter in given.shared:
        assert parameter.grad.stride() == parameter.stride()
        assert parameter.grad.dtype == parameter.dtype


@pytest.mark.parametrize("name", NAMES)
def test_number_of_losses_is_checked(name, weighting):
    with pytest.raises(ValueError, match="expected 3 losses, found 2"):
        weighting(name, 3).backward([torch.zeros(())] * 2, [])


@pytest.mark.parametrize("name", NAMES)
def test_declarations(name):
    entry = ENTRIES[name]
    cls = entry.load()
    assert entry.constants["paper"] == cls.paper
    assert entry.constants.get("needs_gradients", False) == cls.needs_gradients
    assert entry.constants.get("wants_held_out", False) == cls.wants_held_out
    assert entry.constants.get("wants_losses_after_step", False) == cls.wants_losses_after_step
    keywords = {
        name: parameter.default
        for name, parameter in inspect.signature(cls.__init__).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert {name: field.default for name, field in entry.options.model_fields.items()} == keywords
    assert all(field.description for field in entry.options.model_fields.values())


class _Regression:
    """Two small regression tasks on one hidden layer; the losses cannot fall below 0.5 each."""

    def __init__(self):
        torch.manual_seed(0)
        self.image = torch.randn(64, 4)
        self.targets = [torch.tanh(self.image @ torch.randn(4, 1)), 0.5 * (self.image @ torch.randn(4, 1))]
        self.body = nn.Sequential(nn.Linear(4, 32), nn.Tanh())
        self.heads = nn.ModuleList([nn.Linear(32, 1), nn.Linear(32, 1)])
        self.model = nn.ModuleList([self.body, self.heads])

    def losses_on(self, which="train"):
        hidden = self.body(self.image)
        pairs = zip(self.heads, self.targets, strict=True)
        return [0.5 + nn.functional.mse_loss(head(hidden), target) for head, target in pairs]

    def excess(self):
        with torch.no_grad():
            return float(sum(self.losses_on())) - 1.0


@pytest.mark.parametrize("name", NAMES)
def test_every_weighting_trains(name, weighting):
    """What the losses have above their minimum falls below a fifth in 120 steps of Adam."""
    task = _Regression()
    method = weighting(name, 2)
    optimiser = torch.optim.Adam([*task.model.parameters(), *method.parameters()], lr=0.02)
    first, history = task.excess(), []
    for epoch in range(6):
        method.begin_epoch(epoch, history)
        for _ in range(20):
            if method.looks_ahead or method.wants_held_out:
                method.prepare_step(task.model, task.losses_on, 0.02)
            losses = task.losses_on()
            optimiser.zero_grad()
            method.backward(losses, list(task.body.parameters()))
            optimiser.step()
            if method.wants_losses_after_step:
                with torch.no_grad():
                    method.after_step(torch.stack(task.losses_on()))
        history.append([float(loss.detach()) for loss in losses])
    assert task.excess() < 0.2 * first
