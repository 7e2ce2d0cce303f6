"""Edges and odsF against loops over pixels, and cells that have them."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from mtlbench import pipeline
from mtlbench.metrics.edges import spread
from mtlbench.plan import grid
from mtlbench.plan.params import load
from mtlbench.report.rows.collect import report_input
from mtlbench.system.errors import ParamsError
from mtlbench.system.files import read_json
from mtlbench.tasks import totals
from mtlbench.tasks.edges import Edges
from mtlbench.training.cell import run_cell

TASKS = "tasks: [segmentation, depth, normals]"


def labels(seed: int = 0, void: float = 0.15) -> np.ndarray:
    """Two images of a few blocks with void pixels."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 3, (2, 2, 2)).repeat(9, 1).repeat(7, 2)
    return np.where(random.random(blocks.shape) < void, -1, blocks).astype(np.int8)


@pytest.mark.parametrize("width", [1, 2])
def test_an_edge_has_another_class_within_its_width(width: int) -> None:
    source = labels()
    found = Edges(width=width).derive(source)
    for n, y, x in np.ndindex(source.shape):
        around = source[n, max(0, y - width) : y + width + 1, max(0, x - width) : x + width + 1]
        others = set(around[around >= 0].tolist()) - {source[n, y, x]}
        assert found[n, 0, y, x] == (-1 if source[n, y, x] < 0 else bool(others))
    assert found.dtype == np.float16
    assert Edges().maps.problem(found[0]) == ""


@pytest.mark.parametrize("distance", [0.0, 1.0, 1.5, 2.9, 40.0])
def test_spread_is_the_largest_value_within_a_disk(distance: float) -> None:
    values = torch.rand(2, 1, 6, 5, generator=torch.Generator().manual_seed(0))
    y, x = torch.meshgrid(torch.arange(6), torch.arange(5), indexing="ij")
    near = (y.flatten()[:, None] - y.flatten()) ** 2 + (x.flatten()[:, None] - x.flatten()) ** 2 <= distance**2
    wanted = torch.where(near, values.view(2, 1, 1, 30), -1.0).amax(-1).view_as(values)
    torch.testing.assert_close(spread(values, distance), wanted, rtol=0, atol=0)


def reference(probability: np.ndarray, target: np.ndarray, distance: float) -> float:
    """odsF by loops over thresholds and images and all distances between pixels."""
    best = 0.0
    for threshold in np.arange(1, 100) / 100:
        predicted = right = found = edges = 0
        for p, t in zip(probability[:, 0], target[:, 0], strict=True):
            guess, truth = np.argwhere((p >= threshold) & (t >= 0)), np.argwhere(t >= 0.5)
            near = cdist(guess, truth) <= distance
            predicted, edges = predicted + len(guess), edges + len(truth)
            right, found = right + near.any(1).sum(), found + near.any(0).sum()
        if right and found:
            p, r = right / predicted, found / edges
            best = max(best, 2 * p * r / (p + r))
    return best


@pytest.mark.parametrize("tolerance", [0.0, 0.08, 0.1])
def test_ods_f_is_that_of_loops_over_pixels(tolerance: float) -> None:
    task = Edges(tolerance=tolerance)
    target = task.derive(labels(1))
    random = np.random.default_rng(2)
    shown = np.clip(target.astype(np.float32), 0, 1)  # better than chance, so that the best threshold lies inside
    probability = (0.9 * random.random(target.shape) + 0.1 * shown).astype(np.float32)
    given = torch.from_numpy(target)
    found = task.reduce(totals(task.statistics(torch.from_numpy(probability), given)))["ods_f"]
    assert found == pytest.approx(reference(probability, target, tolerance * math.hypot(18, 14)), rel=1e-12)
    assert 0.3 < found < 1


def test_one_threshold_holds_for_all_images() -> None:
    """Each image is perfect at a threshold of its own, both together at none."""
    target = torch.zeros(2, 1, 4, 4)
    target[:, :, 1] = 1
    probability = torch.where(target > 0, 0.9, 0.6)
    probability[1] = torch.where(target[1] > 0, 0.5, 0.2)
    task = Edges(tolerance=0.0)
    found = task.statistics(probability, target)
    each = task.reduce_many({name: values.numpy() for name, values in found.items()})["ods_f"]
    assert each.tolist() == [1, 1]
    # Above 0.6 half of the edges is found and nothing else; from 0.2 to 0.5 all 8 of them and 12 other pixels.
    assert task.reduce(totals(found))["ods_f"] == pytest.approx(max(2 * 1 * 0.5 / 1.5, 2 * 0.4 * 1 / 1.4))


def test_the_truth_has_f_1_and_nothing_predicted_has_0() -> None:
    task, target = Edges(), torch.from_numpy(Edges().derive(labels()))
    assert task.reduce(totals(task.statistics(target.float().clamp(min=0), target)))["ods_f"] == 1
    assert task.reduce(totals(task.statistics(torch.zeros(1, 1, 1, 1), target)))["ods_f"] == 0
    broken = task.statistics(torch.full(target.shape, torch.nan), target)
    assert task.reduce(totals(broken))["ods_f"] == 0


def test_the_loss_is_the_weighted_cross_entropy() -> None:
    target = torch.from_numpy(Edges().derive(labels()))
    raw = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    valid = target >= 0
    p, t = raw.sigmoid()[valid].double(), target[valid].double()
    wanted = -(0.9 * t * p.log() + 0.1 * (1 - t) * (1 - p).log()).mean()
    assert Edges(positive_weight=0.9).loss(raw, target).item() == pytest.approx(wanted.item(), rel=1e-6)
    assert Edges().loss(torch.full_like(raw, 1e4), target).isfinite()


def test_its_constant_has_the_lowest_loss() -> None:
    task, target = Edges(), torch.from_numpy(Edges().derive(labels()))
    best = task.constant_prediction(totals(task.target_statistics(target)))
    at = [task.loss((best + off).logit().expand(target.shape), target).item() for off in (-1e-2, 0, 1e-2)]
    assert at[1] < min(at[0], at[2])


def test_cells_have_them_and_others_keep_their_keys(project, edit) -> None:
    before = {cell.path: cell.key for cell in grid.cells(load(), "tiny")}
    edit(TASKS, "tasks: [segmentation, depth, normals, edges]\n    task_options: {edges: {width: 2}}")
    cells = {cell.path: cell for cell in grid.cells(load(), "tiny")}
    assert {path for path in before if before[path] == cells[path].key} == {p for p in before if "only" in p}
    own = {"width": 2, "positive_weight": 0.95, "tolerance": 0.011}
    assert cells["tiny/segnet_single/only_edges/seed0"].spec["task_options"] == {"edges": own}
    edit("epochs: 3", "epochs: 2")
    edit("augmentation: null", "augmentation: {scales: [1.0, 1.5], flip: true}")
    pipeline.prepare(load(), "rooms")
    for cell in grid.cells(load(), "tiny"):
        assert run_cell(cell, load().runtime) == "complete"
    found = read_json(cell.folder / "metrics.json")["reported"]["edges"]["ods_f"]
    assert 0 < found < 1
    assert 0 < report_input(load(), "tiny", partial=False).constant["edges"]["ods_f"] < 1
    page = pipeline.report(load(), "tiny")
    assert "odsF" in page.read_text()
    with np.load(cell.folder / "samples.npz") as samples:
        edges = Edges(width=2).derive(samples["target_segmentation"])
        np.testing.assert_array_equal(samples["target_edges"], edges)


def test_a_data_set_without_labels_has_none(project, edit) -> None:
    edit("{kind: rooms, height: 32, width: 32, train: 6, test: 3, seed: 1}", "{kind: shapes, height: 32, width: 32}")
    edit(TASKS, "tasks: [edges]")
    with pytest.raises(ParamsError, match="has no 'edges'"):
        grid.cells(load(), "tiny")
