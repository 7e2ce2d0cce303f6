"""Bilinear resizing against ``F.interpolate``, values and gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mtlbench.models.blocks.resize import Bilinear, BilinearTwice

SIZES = [(1, 1), (1, 3), (2, 2), (3, 5), (9, 12)]


def images(size: tuple[int, int]) -> Tensor:
    return torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("size", SIZES)
def test_twice_equals_interpolate(size: tuple[int, int]) -> None:
    x = images(size)
    expected = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
    found = BilinearTwice()(x)
    assert torch.equal(found, expected)
    weights = torch.randn_like(found)
    one, other = (torch.autograd.grad(y, x, weights)[0] for y in (found, expected))
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("target", [(1, 1), (8, 24), (17, 5)])
def test_resize_equals_interpolate(size: tuple[int, int], target: tuple[int, int]) -> None:
    x = images(size)
    expected = F.interpolate(x, target, mode="bilinear", align_corners=True)
    found = Bilinear()(x, target)
    assert torch.equal(found, expected)
    weights = torch.randn_like(found)
    one, other = (torch.autograd.grad(y, x, weights)[0] for y in (found, expected))
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("resize", [BilinearTwice(), lambda x: Bilinear()(x, (5, 7))], ids=["twice", "any"])
def test_second_derivatives_and_batched_gradients(resize) -> None:
    x = images((2, 3))
    assert torch.autograd.gradgradcheck(resize, (x,))
    assert torch.autograd.gradcheck(resize, (x,), check_batched_grad=True)


def test_resized_maps_keep_float32_under_autocast() -> None:
    x = torch.randn(1, 2, 3, 3).to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        found = Bilinear()(x, (9, 9))
    assert found.dtype == torch.float32
    assert torch.equal(found, F.interpolate(x.float(), (9, 9), mode="bilinear", align_corners=True))


def test_twice_in_bfloat16_has_a_close_gradient() -> None:
    x = torch.randn(2, 3, 6, 8).to(torch.bfloat16).requires_grad_()
    weights = torch.randn(2, 3, 12, 16).to(torch.bfloat16)
    (found,) = torch.autograd.grad(BilinearTwice()(x), x, weights)
    exact = x.detach().double().requires_grad_()
    y = F.interpolate(exact, scale_factor=2, mode="bilinear", align_corners=True)
    (expected,) = torch.autograd.grad(y, exact, weights.double())
    # Eight roundings to 8 bits of sums of a few values of size 1 to 4.
    assert (found.double() - expected).abs().max() < 8 * 2**-9 * 4
