"""Plain functional layers for the independent re-computations, and the comparison with a model."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Maps = dict[str, Tensor]


class Plain:
    """Layers written as functional calls on a dictionary of named tensors, in the order of the formulas."""

    def __init__(self, tensors: dict[str, Tensor], training: bool) -> None:
        self.tensors = tensors
        self.training = training

    def conv(self, name: str, x: Tensor, **settings: int) -> Tensor:
        """A convolution; the bias is used where the model has one."""
        return F.conv2d(x, self.tensors[f"{name}.weight"], self.tensors.get(f"{name}.bias"), **settings)

    def norm(self, name: str, x: Tensor) -> Tensor:
        """BatchNorm from its formula: batch moments in training, stored ones otherwise."""
        mean, variance = self.tensors[f"{name}.running_mean"], self.tensors[f"{name}.running_var"]
        if self.training:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        scale = self.tensors[f"{name}.weight"] / (variance + 1e-5).sqrt()
        return (x - mean.view(1, -1, 1, 1)) * scale.view(1, -1, 1, 1) + self.tensors[f"{name}.bias"].view(1, -1, 1, 1)

    def unit(self, name: str, x: Tensor, convolutions: int = 1) -> Tensor:
        """conv3x3 -> BatchNorm -> ReLU, ``convolutions`` times, of a sequence of layers."""
        for number in range(convolutions):
            x = self.norm(f"{name}.{3 * number + 1}", self.conv(f"{name}.{3 * number}", x, padding=1)).relu()
        return x

    def units(self, name: str, x: Tensor, count: int, convolutions: int = 1) -> list[Tensor]:
        """The outputs of ``count`` units one after the other."""
        outputs = []
        for number in range(count):
            x = self.unit(f"{name}.{number}", x, convolutions)
            outputs.append(x)
        return outputs

    def mask(self, name: str, x: Tensor) -> Tensor:
        """conv1x1 -> BatchNorm -> ReLU -> conv1x1 -> BatchNorm -> sigmoid."""
        x = self.norm(f"{name}.1", self.conv(f"{name}.0", x)).relu()
        return self.norm(f"{name}.4", self.conv(f"{name}.3", x)).sigmoid()

    def segnet_head(self, name: str, x: Tensor) -> Tensor:
        """conv3x3 -> conv1x1."""
        return self.conv(f"{name}.1", self.conv(f"{name}.0", x, padding=1))


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random biases and BatchNorm statistics, so that an exchanged or forgotten one shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith(("bias", "running_mean")):
                tensor.normal_(0, 0.3, generator=generator)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 2, generator=generator)
            elif tensor.dim() == 1 and tensor.is_floating_point():
                tensor.uniform_(0.7, 1.4, generator=generator)
    return model


@pytest.fixture
def agrees() -> Callable[..., None]:
    """Check a model against a plain forward pass, in evaluation and training mode: outputs and all gradients.

    Float64, so only an error in the formula (never rounding: about 1e-13 here) exceeds the tolerance 1e-5.
    """

    def check(model: nn.Module, forward: Callable[[Plain, Tensor], Maps], size: tuple[int, int] = (32, 64)) -> None:
        model = randomise(copy.deepcopy(model)).double()
        image = torch.rand(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        for training in (False, True):
            model.train(training)
            tensors = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            parameters = {name: tensors[name].requires_grad_() for name, _ in model.named_parameters()}
            expected = forward(Plain(tensors, training), image)
            found = model(image)
            assert set(found) == set(expected)
            weights = {task: torch.randn_like(output) for task, output in expected.items()}
            for task, output in expected.items():
                torch.testing.assert_close(found[task], output, rtol=1e-5, atol=1e-5 * output.abs().max().item())
            wanted = _gradients(expected, weights, list(parameters.values()))
            got = _gradients(found, weights, list(model.parameters()))
            for name, one, other in zip(parameters, got, wanted, strict=True):
                limit = 1e-5 * max(1.0, other.abs().max().item())
                torch.testing.assert_close(one, other, rtol=1e-5, atol=limit, msg=lambda text, n=name: f"{n}: {text}")

    return check


def _gradients(outputs: Maps, weights: Maps, parameters: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(sum((outputs[task] * weights[task]).sum() for task in outputs), parameters)
