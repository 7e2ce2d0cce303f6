"""Max-pooling with positions and unpooling against PyTorch's own, exactly: by index and elementwise."""

import contextlib
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mtlbench.models.blocks.pooling import CeilMaxPool, MaxPool, MaxUnpool

pool, unpool = MaxPool(), MaxUnpool()
#: As on a GPU and in compiled or exported networks.
elementwise = mock.patch.object(torch.compiler, "is_compiling", return_value=True)


def positions_of(indices: Tensor, width: int) -> Tensor:
    """Position 0..3 within the window, from the flat indices of ``F.max_pool2d``."""
    return indices // width % 2 * 2 + indices % 2


def assert_equals_pytorch(x: Tensor, values: Tensor) -> None:
    """Both directions and their gradients, bit for bit (but for the sign of 0)."""
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    maxima, positions = pool(one)
    expected, indices = F.max_pool2d(other, 2, 2, return_indices=True)
    assert torch.equal(maxima, expected)
    wanted = indices if positions.dtype == torch.int64 else positions_of(indices, x.shape[-1]).byte()
    assert torch.equal(positions, wanted)
    assert torch.equal(unpool(values, positions), F.max_unpool2d(values, indices, 2, 2))
    found = torch.autograd.grad(unpool(maxima * values, positions), one, x)[0]
    wanted = torch.autograd.grad(F.max_unpool2d(expected * values, indices, 2, 2), other, x)[0]
    assert torch.equal(found, wanted)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 4)] * 4),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16]),
    levels=st.integers(1, 5),
    channels_last=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_equal_pytorch_s_with_many_ties(shape, dtype, levels, channels_last, seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    n, c, h, w = shape
    x = torch.randint(-levels, levels, (n, c, 2 * h, 2 * w), generator=generator).to(dtype)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    values = torch.randn(shape, generator=generator).to(dtype)
    assert_equals_pytorch(x, values)
    with elementwise:
        assert_equals_pytorch(x, values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_by_index_and_elementwise_are_the_same_bits(dtype: torch.dtype) -> None:
    def bits(x: Tensor) -> Tensor:
        assert x.is_contiguous(memory_format=torch.channels_last)
        return x.view({4: torch.int32, 2: torch.int16}[x.element_size()])

    def both_ways() -> list[Tensor]:
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(3, 5, 8, 12, generator=generator).relu().to(dtype).contiguous(memory_format=torch.channels_last)
        x.requires_grad_()
        maxima, positions = pool(x)
        back = unpool(maxima, positions)
        signed = torch.randint(-1, 2, back.shape, generator=generator).to(dtype) * -torch.tensor(0.5).to(dtype)
        signed = signed.contiguous(memory_format=torch.channels_last)  # with zeros of both signs
        back.backward(signed)
        assert x.grad is not None
        return [bits(y) for y in (maxima.detach(), back.detach(), x.grad)]

    by_index = both_ways()
    with elementwise:
        assert all(map(torch.equal, by_index, both_ways()))


def test_of_equal_values_the_first_counts() -> None:
    maxima, positions = pool(torch.ones(1, 1, 2, 4))
    assert maxima.tolist() == [[[[1, 1]]]]
    assert positions.tolist() == [[[[0, 2]]]]
    with elementwise:
        assert pool(torch.ones(1, 1, 2, 4))[1].tolist() == [[[[0, 0]]]]


def test_infinities_stay_in_their_place_and_nan_is_passed_on() -> None:
    x = torch.tensor([[[[1.0, float("inf")], [0.0, 2.0]]]])
    assert unpool(*pool(x)).tolist() == [[[[0.0, float("inf")], [0.0, 0.0]]]]
    for place in range(4):
        x = torch.zeros(4)
        x[place] = float("nan")
        assert pool(x.view(1, 1, 2, 2))[0].isnan().all()


@pytest.mark.parametrize("channels_last", [False, True])
def test_unpooling_gives_channels_last(channels_last: bool) -> None:
    x = torch.randn(2, 3, 4, 6)
    maxima, positions = pool(x.contiguous(memory_format=torch.channels_last) if channels_last else x)
    assert unpool(maxima, positions).is_contiguous(memory_format=torch.channels_last)


def test_elementwise_positions_take_one_byte() -> None:
    with elementwise:
        assert pool(torch.randn(1, 1, 2, 2))[1].dtype == torch.uint8


@pytest.mark.parametrize("how", [contextlib.nullcontext(), elementwise], ids=["by index", "elementwise"])
def test_second_derivatives_and_batched_gradients(how: contextlib.AbstractContextManager[object]) -> None:
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)

    def squared(y: Tensor) -> Tensor:
        return unpool(pool(y)[0] ** 2, positions)

    with how:
        _, positions = pool(torch.randn(1, 2, 4, 4))
        assert torch.autograd.gradcheck(squared, (x,), check_batched_grad=True)
        assert torch.autograd.gradgradcheck(squared, (x,))


def test_unpooling_is_allowed_where_only_deterministic_algorithms_are() -> None:
    x = torch.randn(1, 2, 4, 4, requires_grad=True)
    torch.use_deterministic_algorithms(True)
    try:
        unpool(*pool(x)).sum().backward()
        with pytest.raises(RuntimeError, match="deterministic"):  # what this replaces
            F.max_unpool2d(*F.max_pool2d(x, 2, 2, return_indices=True), 2, 2)
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 2), (7, 9), (6, 4)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_ceil_mode_pools_what_is_left_at_odd_sides(size: tuple[int, int], dtype: torch.dtype) -> None:
    # Few levels, all below 0: there are ties, and a border of zeros would show.
    x = torch.randint(-3, 0, (2, 3, *size), generator=torch.Generator().manual_seed(0)).to(dtype)
    one, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    found, expected = CeilMaxPool()(one), F.max_pool2d(other, 2, ceil_mode=True)
    assert torch.equal(found, expected)
    weights = torch.randn_like(expected)
    assert torch.equal(*(torch.autograd.grad(y, z, weights)[0] for y, z in ((found, one), (expected, other))))
