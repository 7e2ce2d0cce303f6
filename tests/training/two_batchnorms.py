"""Checks in two processes that BatchNorm over both is nn.BatchNorm2d on the whole batch, forward and backward."""

import torch
from torch import Tensor, nn

from mtlbench.training.processes.connected import Connected
from mtlbench.training.processes.launch import launch
from mtlbench.training.processes.sharded import Sharded


def check(ranks: Connected, device: str) -> None:
    """Five images, so that the shares are uneven; raises AssertionError."""
    torch.manual_seed(0)
    for layout in (torch.contiguous_format, torch.channels_last):
        image = (3 * torch.randn(5, 4, 6, 7, dtype=torch.float64) + 2).contiguous(memory_format=layout)
        gradient = torch.randn_like(image)
        plain = nn.BatchNorm2d(4, momentum=0.3, dtype=torch.float64)
        nn.init.normal_(plain.weight)
        nn.init.normal_(plain.bias)
        split = nn.BatchNorm2d(4, momentum=0.3, dtype=torch.float64)
        split.load_state_dict(plain.state_dict())
        network = Sharded(nn.ModuleDict({"norm": split}), ranks)
        ranks.images = len(image)

        whole = image.clone().requires_grad_()
        expected = plain(whole)
        expected.backward(gradient)
        own = image[ranks.own].clone().requires_grad_()
        found = split(own)
        found.backward(gradient[ranks.own])
        ranks.all_reduce([split.weight.grad, split.bias.grad])

        close(found, expected[ranks.own])
        close(own.grad, whole.grad[ranks.own])
        close(split.weight.grad, plain.weight.grad)
        close(split.bias.grad, plain.bias.grad)
        for name, value in plain.state_dict().items():
            close(split.state_dict()[name], value)
        assert network.ranks is ranks
        assert own.grad.is_contiguous(memory_format=layout)
        close(split.eval()(image), plain.eval()(image))


def close(found: Tensor, expected: Tensor) -> None:
    """Equal up to the rounding of sums over 210 pixels."""
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


if __name__ == "__main__":
    launch(["cpu", "cpu"], check)
