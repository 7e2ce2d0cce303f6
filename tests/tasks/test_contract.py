"""What every task must do, over all that are found: those of the package and those of a folder of one's own."""

import numpy as np
import pytest
import torch

from mtlbench.maps import Classes, Directions, Distances, Labels, Values
from mtlbench.plan.registry import entries
from mtlbench.system.errors import MtlbenchError
from mtlbench.tasks import Task, make_tasks, totals

IMAGES, HEIGHT, WIDTH = 3, 11, 7


def arguments(name: str) -> dict:
    """What the task's constructor takes: nothing where it needs nothing, else what a dataset that has it says."""
    if not any(field.is_required() for field in entries("tasks")[name].options.model_fields.values()):
        return {}
    for dataset in entries("datasets").values():
        try:
            tasks = dataset.load()().tasks
        except (TypeError, MtlbenchError):  # it needs options or files
            continue
        found = [block for task, block in tasks.items() if block.get("kind", task) == name]
        if found:
            return {key: value for key, value in found[0].items() if key != "kind"}
    raise AssertionError(f"the task '{name}' needs arguments, and no dataset without raw files gives them")


NAMES = list(entries("tasks"))
every_task = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def task(name: str) -> Task:
    return make_tasks({name: arguments(name)})[name]


def targets(task: Task, invalid: float = 0.2, seed: int = 0) -> torch.Tensor:
    """Random stored targets (N, ...) of the task's kind; the share ``invalid`` of the pixels has no ground truth."""
    random = np.random.default_rng(seed)
    maps = task.maps
    nothing = random.random((IMAGES, HEIGHT, WIDTH)) < invalid
    shape = (IMAGES, maps.channels, HEIGHT, WIDTH)
    if isinstance(maps, Classes):
        found = np.where(nothing[:, 0, 0], -1, random.integers(0, len(maps.names), IMAGES))
    elif isinstance(maps, Labels):
        found = np.where(nothing, -1, random.integers(0, len(maps.names), (IMAGES, HEIGHT, WIDTH)))
    elif isinstance(maps, Directions):
        vectors = random.normal(size=shape)
        found = np.where(nothing[:, None], 0, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    elif isinstance(maps, Values):
        found = random.uniform(maps.lowest, maps.highest, shape)
        found = found if maps.invalid is None else np.where(nothing[:, None], maps.invalid, found)
    else:
        assert isinstance(maps, Distances)
        found = np.where(nothing[:, None], 0, random.uniform(0.3, 5, shape))
    return torch.from_numpy(found.astype(maps.dtype))


def raw_output(task: Task, seed: int = 1) -> torch.Tensor:
    return torch.randn(task.output_shape(targets(task)), generator=torch.Generator().manual_seed(seed))


@every_task
def test_what_it_says_of_its_maps_fits_its_targets(task: Task) -> None:
    target = targets(task)
    assert tuple(target.shape[1:]) == task.maps.shape((HEIGHT, WIDTH))
    for image, valid in zip(target.numpy(), task.valid(target).numpy(), strict=True):
        assert task.maps.problem(image) == ""
        np.testing.assert_array_equal(valid, task.maps.valid(image))


@every_task
def test_statistics_belong_to_one_image_and_add_up(task: Task) -> None:
    raw, target = raw_output(task), targets(task)
    together = task.statistics(task.activate(raw), target)
    alone = [task.statistics(task.activate(raw[i : i + 1]), target[i : i + 1]) for i in range(IMAGES)]
    for name, values in together.items():
        assert len(values) == IMAGES
        assert values.dtype in (torch.float64, torch.int64)
        # 1e-6: sums of float32 pixels may be taken in another order.
        torch.testing.assert_close(values, torch.cat([one[name] for one in alone]), rtol=1e-6, atol=1e-6)
    many = task.reduce_many({name: values.numpy() for name, values in together.items()})
    for i, one in enumerate(alone):
        for metric, value in task.reduce(totals(one)).items():
            np.testing.assert_allclose(many[metric][i], value, rtol=1e-5, atol=1e-6)


@every_task
def test_metrics_are_those_it_lists_with_one_primary(task: Task) -> None:
    found = task.reduce(totals(task.statistics(task.activate(raw_output(task)), targets(task))))
    assert list(found) == [metric.name for metric in task.metrics]
    assert all(np.isfinite(value) for value in found.values())
    assert sum(metric.primary for metric in task.metrics) == 1


@every_task
def test_invalid_pixels_do_not_count(task: Task) -> None:
    raw, target = raw_output(task), targets(task)
    valid = task.valid(target)[:, None]
    other = torch.where(valid, raw, raw_output(task, seed=2))
    torch.testing.assert_close(task.loss(raw, target), task.loss(other, target), rtol=1e-6, atol=0)
    for name, values in task.statistics(task.activate(raw), target).items():
        torch.testing.assert_close(values, task.statistics(task.activate(other), target)[name], rtol=1e-6, atol=1e-9)


@every_task
def test_the_loss_is_a_finite_number_with_a_gradient(task: Task) -> None:
    raw = raw_output(task).requires_grad_()
    loss = task.loss(raw, targets(task))
    loss.backward()
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert torch.isfinite(raw.grad).all()
    assert raw.grad.abs().sum() > 0


@every_task
def test_nothing_valid_gives_no_loss_and_no_metric(task: Task) -> None:
    target = targets(task, invalid=1.1)
    if task.valid(target).any():
        pytest.skip("every pixel of this task is valid")
    raw = raw_output(task).requires_grad_()
    loss = task.loss(raw, target)
    loss.backward()
    assert loss == 0
    assert not raw.grad.any()
    found = task.reduce(totals(task.statistics(task.activate(raw.detach()), target)))
    assert all(np.isnan(value) for value in found.values())


@every_task
def test_the_truth_has_no_error_and_every_map_is_drawn(task: Task) -> None:
    target = targets(task)
    decoded = task.decode(task.activate(raw_output(task))).numpy()
    assert decoded.shape == tuple(target.shape)
    for truth, guess, valid in zip(target.numpy(), decoded, task.valid(target).numpy(), strict=True):
        error = task.error(truth, truth)
        # 2e-2: angles between vectors that were rounded to float16.
        assert np.nanmax(np.abs(error)) <= 2e-2 * (task.error_range[1] - task.error_range[0])
        np.testing.assert_array_equal(np.isnan(error), ~valid)
        for picture in (task.draw(truth), task.draw(guess)):
            assert picture.shape == ((HEIGHT, WIDTH, 3) if task.maps.per_pixel else (1, 1, 3))
            assert picture.dtype == np.uint8


@every_task
def test_no_other_constant_of_the_training_targets_has_a_lower_loss_on_them(task: Task) -> None:
    """Best by its own measure: not worse than what any single pixel of the targets would give as a constant."""
    target = targets(task)
    best = task.constant_prediction(totals(task.target_statistics(target)))
    assert best.shape == ((task.channels, 1, 1) if task.maps.per_pixel else (task.channels,))
    primary = next(metric for metric in task.metrics if metric.primary)
    sign = 1 if primary.higher_is_better else -1

    def score(constant: torch.Tensor) -> float:
        prediction = constant.expand(task.output_shape(target))
        return sign * task.reduce(totals(task.statistics(prediction, target)))[primary.name]

    guesses = task.activate(raw_output(task))
    guesses = guesses[:, :, ::5, ::3] if task.maps.per_pixel else guesses[..., None, None]
    others = guesses.movedim(1, -1).reshape(-1, task.channels)
    # 5 %: a median or mean of the targets is the best constant of the loss, not always of the primary metric.
    assert score(best) >= max(score(other.view_as(best)) for other in others) - 0.05 * abs(score(best))
