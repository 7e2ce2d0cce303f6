"""Every task against per-pixel numpy computations, and the properties that all tasks share."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtlbench.tasks import Task, make_tasks, totals

DESCRIPTIONS = {
    "segmentation": {"classes": 5, "class_names": list("abcde")},
    "depth": {},
    "inverse_depth": {},
    "normals": {},
}
TASKS = make_tasks(DESCRIPTIONS)
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
every_task = pytest.mark.parametrize("name", list(TASKS))
devices = pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])],
)


def batch(name: str, images: int = 3, height: int = 11, width: int = 7, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Raw output and target with invalid pixels in every image."""
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(images, TASKS[name].channels, height, width, generator=generator)
    holes = torch.rand(images, 1, height, width, generator=generator) < 0.2
    if name == "segmentation":
        target = torch.randint(0, 5, (images, height, width), generator=generator)
        return raw, target.masked_fill(holes[:, 0], -1).to(torch.int8)
    if name == "normals":
        vectors = torch.nn.functional.normalize(torch.randn(images, 3, height, width, generator=generator), dim=1)
        return raw, vectors.masked_fill(holes, 0).half()
    values = torch.rand(images, 1, height, width, generator=generator) * 5 + 0.3
    return raw, values.masked_fill(holes, 0).half()


def expected(name: str, raw: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """The metrics pixel by pixel in float64, over all images at once."""
    raw, target = raw.astype(np.float64), target.astype(np.float64)
    if name == "segmentation":
        valid = target >= 0
        guess, truth = raw.argmax(1)[valid], target[valid]
        iou = [((guess == k) & (truth == k)).sum() / ((guess == k) | (truth == k)).sum() for k in range(5)]
        return {"miou": np.mean(iou), "pixel_accuracy": (guess == truth).mean()}
    if name == "normals":
        valid = np.any(target != 0, axis=1)
        cosine = (raw * target).sum(1) / np.linalg.norm(raw, axis=1) / np.maximum(np.linalg.norm(target, axis=1), 1e-9)
        angle = np.degrees(np.arccos(np.clip(cosine[valid], -1, 1)))
        shares = {f"within_{key}": (angle < limit).mean() for key, limit in LIMITS.items()}
        return {"angle_mean": angle.mean(), "angle_median": np.median(angle), **shares}
    valid = target != 0
    difference = np.abs(raw - target)[valid]
    return {"abs_error": difference.mean(), "rel_error": (difference / target[valid]).mean()}


LIMITS = {"11_25": 11.25, "22_5": 22.5, "30": 30.0}


def metrics_of(task: Task, raw: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    return task.reduce(totals(task.statistics(task.activate(raw), target)))


@every_task
@devices
def test_metrics_equal_a_per_pixel_computation(name: str, device: str) -> None:
    raw, target = batch(name)
    found = metrics_of(TASKS[name], raw.to(device), target.to(device))
    wanted = expected(name, raw.numpy(), target.numpy())
    assert list(found) == [metric.name for metric in TASKS[name].metrics]
    for metric, value in wanted.items():
        # float32 arithmetic on 230 pixels; the median of few values may sit a gap between two values away
        tolerance = 1.5 if metric == "angle_median" else 1e-4 * max(1, abs(value))
        assert found[metric] == pytest.approx(value, abs=tolerance), metric


def test_median_angle_of_many_pixels_is_within_a_bin() -> None:
    raw, target = batch("normals", images=2, height=200, width=200)
    wanted = expected("normals", raw.numpy(), target.numpy())["angle_median"]
    # One bin is 0.1 degree; float32 and float16 storage move a pixel by far less.
    assert metrics_of(TASKS["normals"], raw, target)["angle_median"] == pytest.approx(wanted, abs=0.1)


@every_task
@settings(max_examples=15, deadline=None)
@given(cut=st.integers(1, 5), seed=st.integers(0, 99))
def test_statistics_add_over_images(name: str, cut: int, seed: int) -> None:
    task = TASKS[name]
    raw, target = batch(name, images=6, seed=seed)
    whole = task.statistics(task.activate(raw), target)
    parts = [task.statistics(task.activate(raw[part]), target[part]) for part in (slice(cut), slice(cut, 6))]
    for key, values in whole.items():
        assert values.dtype in (torch.float64, torch.int64)
        assert values.shape[0] == 6
        # the very same bits: each image is summed by itself, whatever batch it came in
        assert torch.equal(values, torch.cat([part[key] for part in parts]))


@every_task
@devices
def test_same_bits_again_in_deterministic_mode(name: str, device: str) -> None:
    task = TASKS[name]
    raw, target = (part.to(device) for part in batch(name))
    results = []
    torch.use_deterministic_algorithms(True)
    try:
        for _ in range(2):
            leaf = raw.clone().requires_grad_()
            task.loss(leaf, target).backward()
            results.append([leaf.grad, *task.statistics(task.activate(raw), target).values()])
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(first, second) for first, second in zip(*results, strict=True))


@every_task
def test_loss_gradient_is_the_numerical_one(name: str) -> None:
    task = TASKS[name]
    raw, target = batch(name, images=1, height=3, width=3)
    leaf = raw.clone().requires_grad_()
    task.loss(leaf, target).backward()
    step = 1e-2
    for index in range(0, raw.numel(), 3):
        moved = []
        for sign in (1, -1):
            shifted = raw.clone()
            shifted.view(-1)[index] += sign * step
            moved.append(task.loss(shifted, target).item())
        numerical = (moved[0] - moved[1]) / (2 * step)
        # central difference: second-order error of the step plus float32 rounding over it
        assert leaf.grad.view(-1)[index].item() == pytest.approx(numerical, abs=2e-4)


@every_task
def test_invalid_pixels_neither_train_nor_count(name: str) -> None:
    task = TASKS[name]
    raw, target = batch(name)
    hidden = ~task.valid(target)
    assert hidden.any()
    leaf = raw.clone().requires_grad_()
    loss = task.loss(leaf, target)
    loss.backward()
    assert (leaf.grad.movedim(1, -1)[hidden] == 0).all()
    assert (leaf.grad.movedim(1, -1)[~hidden] != 0).any()
    changed = torch.where(hidden.unsqueeze(1), raw * -7 + 3, raw)
    assert task.loss(changed, target).item() == loss.item()
    for key, values in task.statistics(task.activate(raw), target).items():
        assert torch.equal(values, task.statistics(task.activate(changed), target)[key]), key


@every_task
def test_no_valid_pixel_gives_zero_loss_zero_gradient_and_nan_metrics(name: str) -> None:
    task = TASKS[name]
    raw, target = batch(name)
    target = torch.full_like(target, -1 if name == "segmentation" else 0)
    leaf = raw.clone().requires_grad_()
    loss = task.loss(leaf, target)
    loss.backward()
    assert loss.item() == 0.0
    assert (leaf.grad == 0).all()
    assert all(math.isnan(value) for value in metrics_of(task, raw, target).values())


@every_task
def test_bfloat16_output_is_measured_in_float32(name: str) -> None:
    task = TASKS[name]
    raw, target = batch(name)
    rounded = raw.bfloat16()
    assert task.loss(rounded, target).dtype == torch.float32
    assert task.activate(rounded).dtype == torch.float32
    # exact: bfloat16 values are float32 values, and nothing is computed in bfloat16
    assert task.loss(rounded, target).item() == task.loss(rounded.float(), target).item()
    assert metrics_of(task, rounded, target) == metrics_of(task, rounded.float(), target)


@every_task
def test_memory_format_does_not_change_metrics(name: str) -> None:
    raw, target = batch(name)
    inner = raw.contiguous(memory_format=torch.channels_last)
    assert metrics_of(TASKS[name], raw, target) == pytest.approx(metrics_of(TASKS[name], inner, target), rel=1e-6)


@every_task
def test_truth_as_prediction_is_perfect(name: str) -> None:
    task = TASKS[name]
    _, target = batch(name)
    if name == "segmentation":
        prediction = torch.nn.functional.one_hot(target.long().clamp(min=0), 5).movedim(-1, 1).float() * 9
    else:
        prediction = task.activate(target)
    for metric in task.metrics:
        value = task.reduce(totals(task.statistics(prediction, target)))[metric.name]
        # half a bin for the median; 2e-3 degrees is float32 rounding of unit vectors
        assert value == pytest.approx(
            1.0 if metric.higher_is_better else 0.0, abs=0.1 if "med" in metric.name else 2e-3
        )


@every_task
def test_constant_prediction_is_the_best_constant(name: str) -> None:
    task = TASKS[name]
    _, target = batch(name, images=8, height=20, width=20)
    constant = task.constant_prediction(totals(task.target_statistics(target)))
    assert constant.shape == (task.channels, 1, 1)

    def loss(value: torch.Tensor) -> float:
        return task.loss(value.expand(8, -1, 20, 20), target).item()

    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        other = constant + 0.3 * torch.randn(constant.shape, generator=generator)
        assert loss(constant) <= loss(other) + 1e-4  # the depth median comes from bins half a percent wide
    assert all(np.isfinite(value) for value in metrics_of(task, constant.expand(8, -1, 20, 20), target).values())


@every_task
def test_decoded_predictions_have_the_form_of_targets(name: str) -> None:
    task = TASKS[name]
    raw, target = batch(name)
    decoded = task.decode(task.activate(raw))
    assert decoded.dtype == target.dtype
    assert decoded.shape == target.shape
    picture = task.draw(decoded[0].numpy())
    assert picture.shape == (*target.shape[-2:], 3)
    assert picture.dtype == np.uint8


@every_task
def test_error_map_agrees_with_the_metrics(name: str) -> None:
    task = TASKS[name]
    raw, target = batch(name, images=1)
    error = task.error(task.decode(task.activate(raw))[0].numpy(), target[0].numpy())
    assert error.dtype == np.float32
    assert np.array_equal(np.isnan(error), ~task.valid(target)[0].numpy())
    metric = {"segmentation": "pixel_accuracy", "normals": "angle_mean"}.get(name, "abs_error")
    value = metrics_of(task, raw, target)[metric]
    mean = np.nanmean(error)
    # decoded maps are float16: 1e-3 of the value, 0.05 degrees
    assert (1 - mean if name == "segmentation" else mean) == pytest.approx(value, rel=2e-3, abs=2e-3)


@every_task
def test_invalid_pixels_are_drawn_flat(name: str) -> None:
    task = TASKS[name]
    _, target = batch(name, images=1)
    picture = task.draw(target[0].numpy())
    hidden = ~task.valid(target)[0].numpy()
    assert (picture[hidden] == 188).all()
    assert not (picture[~hidden] == 188).all(-1).any()


@every_task
def test_one_primary_metric(name: str) -> None:
    assert sum(metric.primary for metric in TASKS[name].metrics) == 1


@every_task
def test_many_sets_reduce_like_each_by_itself(name: str) -> None:
    task = TASKS[name]
    raw, target = batch(name, images=4)
    target[1] = -1 if name == "segmentation" else 0  # one set without any valid pixel
    statistics = {key: values.numpy() for key, values in task.statistics(task.activate(raw), target).items()}
    many = task.reduce_many(statistics)
    slow = Task.reduce_many(task, statistics)
    for metric in task.metrics:
        assert np.array_equal(many[metric.name], slow[metric.name], equal_nan=True)
        assert np.isnan(many[metric.name]).tolist() == [False, True, False, False]
