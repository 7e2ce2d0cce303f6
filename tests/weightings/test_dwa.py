import math

import pytest
import torch

from mtlbench.weightings.dwa import DWA

LOSSES = torch.tensor([1.0, 2.0])


def test_first_two_epochs_are_equal():
    weighting = DWA(["a", "b"])
    for epoch, history in ((0, []), (1, [[3.0, 1.0]])):
        weighting.begin_epoch(epoch, history)
        assert weighting.weights(LOSSES).tolist() == [1.0, 1.0]


def test_later_epochs_follow_the_formula():
    weighting = DWA(["a", "b"], temperature=2.0)
    weighting.begin_epoch(3, [[9.0, 9.0], [4.0, 2.0], [2.0, 2.0]])
    slow, fast = math.exp(1.0 / 2), math.exp(0.5 / 2)  # b did not fall, a halved
    expected = [2 * fast / (slow + fast), 2 * slow / (slow + fast)]
    assert weighting.weights(LOSSES).tolist() == pytest.approx(expected, rel=1e-6)  # float32 buffer


def test_an_epoch_without_loss_keeps_the_weights_finite():
    weighting = DWA(["a", "b"])
    weighting.begin_epoch(2, [[0.0, 1.0], [1.0, 1.0]])
    assert weighting.weights(LOSSES).isfinite().all()


def test_iteration_window_of_nash_mtl():
    weighting = DWA(["a", "b"], nash_mtl_iteration_window=2, temperature=1.0)
    steps = [[4.0, 1.0], [2.0, 1.0], [1.0, 1.0], [1.0, 3.0]]
    weights = [weighting.weights(torch.tensor(step)).tolist() for step in steps]
    assert weights[:3] == [[1.0, 1.0]] * 3
    falling, rising = math.exp(1.0 / 3.0), math.exp(2.0 / 1.0)  # means of the last two over the two before
    expected = [2 * falling / (falling + rising), 2 * rising / (falling + rising)]
    assert weights[3] == pytest.approx(expected, rel=1e-6)
