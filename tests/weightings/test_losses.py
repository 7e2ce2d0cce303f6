"""Loss-based weightings against values worked out by hand."""

import math

import pytest
import torch

from mtlbench.system.errors import ParamsError
from mtlbench.weightings.static import Static


def values(*numbers):
    return torch.tensor(numbers)


def test_static(weighting):
    method = weighting("static", 2, weights={"task1": 0.5, "task0": 2})
    assert method.weights(values(1.0, 1.0)).tolist() == [2.0, 0.5]
    assert weighting("static", 2).weights(values(1.0, 1.0)).tolist() == [1.0, 1.0]


def test_static_names_the_task_that_is_wrong():
    with pytest.raises(ParamsError, match=r"unknown task 'dept'. Did you mean 'depth'"):
        Static(["depth", "normals"], weights={"dept": 1.0, "normals": 1.0})
    with pytest.raises(ParamsError, match=r"found none for \['normals'\]"):
        Static(["depth", "normals"], weights={"depth": 1.0})
    # The single-task cells of a grid share the options of the grid.
    assert Static(["depth"], weights={"depth": 1.0, "normals": 3.0}).task_weights.tolist() == [1.0]


def test_uw_so(weighting):
    first, second = math.exp(1 / (2.0 * 0.5)), math.exp(1 / (0.5 * 0.5))
    expected = [first / (first + second), second / (first + second)]
    assert weighting("uw_so", 2, temperature=0.5).weights(values(2.0, 0.5)).tolist() == pytest.approx(expected)


def test_rlw_has_the_sum_it_says(weighting):
    losses = values(1.0, 2.0, 3.0)
    plain, times = weighting("rlw", 3), weighting("rlw", 3, times_tasks=True)
    torch.manual_seed(0)
    draws = torch.stack([plain.weights(losses) for _ in range(2000)])
    torch.testing.assert_close(draws.sum(1), torch.ones(2000))
    # Exchangeable: each mean is 1/3; its standard error is 0.2 / sqrt(2000) = 0.005.
    torch.testing.assert_close(draws.mean(0), torch.full((3,), 1 / 3), rtol=0, atol=0.02)
    assert float(times.weights(losses).sum()) == pytest.approx(3.0)


def test_gls_is_the_geometric_mean(weighting):
    losses = values(2.0, 0.5, 4.0).requires_grad_()
    (losses.prod() ** (1 / 3)).backward()
    torch.testing.assert_close(weighting("gls", 3).weights(losses.detach()), losses.grad)


def test_si_is_the_sum_of_logarithms(weighting):
    assert weighting("si", 2).weights(values(4.0, 0.5)).tolist() == [0.25, 2.0]


def test_stch_warms_up_and_then_balances(weighting):
    method = weighting("stch", 2, mu=0.5, warm_up=1)
    history = [[9.0, 9.0], [4.0, 2.0], [1.0, 1.0]]
    for epoch in (0, 1):
        method.begin_epoch(epoch, history[:epoch])
        assert method.weights(values(2.0, 4.0)).tolist() == [0.5, 0.25]
    for epoch in (2, 3):
        method.begin_epoch(epoch, history[:epoch])
        losses = values(2.0, 4.0).requires_grad_()
        (2 * 0.5 * torch.logsumexp((losses / values(4.0, 2.0)).log() / 0.5, 0)).backward()
        torch.testing.assert_close(method.weights(losses.detach()), losses.grad)


def test_ldc_mtl_is_the_derivative_of_its_total(weighting):
    method = weighting("ldc_mtl", 3, penalty=0.05)
    tau = values(2.0, 1.0, 4.0)  # first losses 1, 0.5, 2, the smallest 0.5
    method.weights(values(1.0, 0.5, 2.0))
    for numbers in ([0.9, 0.4, 1.9], [0.2, 0.5, 0.1], [1.0, 3.0, 0.5]):
        losses = values(*numbers).requires_grad_()
        normalised = losses / tau
        (normalised.mean() + 0.05 * (normalised[:-1] - normalised[1:]).abs().sum()).backward()
        torch.testing.assert_close(method.weights(losses.detach()), losses.grad)


def test_ldc_mtl_waits_for_a_first_loss(weighting):
    """A first batch without a valid pixel of one task must not set its scale."""
    method = weighting("ldc_mtl", 2, penalty=0.0)
    assert method.weights(values(0.0, 4.0)).tolist() == [0.5, 0.5]
    assert method.weights(values(2.0, 3.0)).tolist() == [0.5, 0.25]
    assert method.first.tolist() == [2.0, 4.0]


def test_go4align_shares_weights_in_groups(weighting):
    method = weighting("go4align", 3, groups=2, step_size=0.1)
    losses = values(1.0, 1.2, 8.0)
    shares = torch.softmax(-0.1 * losses, 0)
    raw = shares * losses.sum() / losses
    expected = torch.stack([raw[:2].mean(), raw[:2].mean(), raw[2]])
    torch.testing.assert_close(method.weights(losses), expected)
    # The indicators remember.
    shares = torch.softmax(shares.log() - 0.1 * losses, 0)
    torch.testing.assert_close(method.indicators, torch.softmax(-0.1 * losses, 0))
    method.weights(losses)
    torch.testing.assert_close(method.indicators, shares)


@pytest.mark.parametrize("groups", [1, 2, 3, 5])
def test_go4align_clusters_are_the_best_ones(groups, weighting):
    """Against all assignments of four values to clusters."""
    import itertools

    method = weighting("go4align", 4, groups=groups)
    for seed in range(5):
        numbers = torch.randn(4, generator=torch.Generator().manual_seed(seed))
        found = (method._group_means(numbers) - numbers).square().sum()
        best = min(
            sum(
                (numbers[list(members)] - numbers[list(members)].mean()).square().sum()
                for members in ([i for i in range(4) if labels[i] == group] for group in set(labels))
            )
            for labels in itertools.product(range(min(groups, 4)), repeat=4)
            if len(set(labels)) == min(groups, 4)
        )
        assert float(found) == pytest.approx(float(best), abs=1e-6)


def test_famo_weights_the_task_that_falls_slowest(weighting):
    method = weighting("famo", 2)
    first = method.weights(values(2.0, 1.0))
    # z = 1/2 each: (1/2)/2 and (1/2)/1, divided by their sum.
    assert first.tolist() == pytest.approx([1 / 3, 2 / 3])
    method.after_step(values(1.0, 1.0))
    z = torch.softmax(method.logits, 0)
    # Adam's first step has the length of the learning rate for every logit.
    assert method.logits.tolist() == pytest.approx([-0.025, 0.025], rel=1e-3)
    expected = (z / values(1.0, 1.0)) / (z / values(1.0, 1.0)).sum()
    torch.testing.assert_close(method.weights(values(1.0, 1.0)), expected)


def test_imtl_l_brings_scaled_losses_to_one(weighting):
    method = weighting("imtl_l", 2)
    optimiser = torch.optim.SGD(method.parameters(), lr=0.1)
    constant = torch.zeros((), requires_grad=True)
    for _ in range(300):
        optimiser.zero_grad()
        weights = method.backward([constant + 3.0, constant + 0.2], [])
        optimiser.step()
    assert (weights * values(3.0, 0.2)).tolist() == pytest.approx([1.0, 1.0], abs=1e-2)
