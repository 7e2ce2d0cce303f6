"""Plain functional layers for the independent re-computations, and the comparison with a model."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Maps = dict[str, Tensor]

#: Convolutions of the five SegNet stages.
SEGNET = (2, 2, 3, 3, 3)
#: Blocks of the four layers of a ResNet.
RESNET = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}


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

    def mask(self, name: str, x: Tensor) -> Tensor:
        """conv1x1 -> BatchNorm -> ReLU -> conv1x1 -> BatchNorm -> sigmoid."""
        x = self.norm(f"{name}.1", self.conv(f"{name}.0", x)).relu()
        return self.norm(f"{name}.4", self.conv(f"{name}.3", x)).sigmoid()

    # SegNet

    def unit(self, name: str, x: Tensor) -> Tensor:
        """conv3x3 -> BatchNorm -> ReLU."""
        return self.norm(f"{name}.1", self.conv(f"{name}.0", x, padding=1)).relu()

    def units(self, name: str, x: Tensor, stage: int, repeats: int = 1) -> list[Tensor]:
        """The outputs of a SegNet stage's units, one after the other; ``repeats``: times as many as usual."""
        outputs = []
        for number in range(SEGNET[stage] * repeats):
            x = self.unit(f"{name}.{stage}.{number}", x)
            outputs.append(x)
        return outputs

    def segnet(self, name: str, image: Tensor, repeats: int = 1) -> tuple[list[list[Tensor]], ...]:
        """The unit outputs of the encoder stages, those of the decoder stages, the decoder stages' inputs."""
        x, encoder, positions = image, [], []
        for stage in range(5):
            encoder.append(self.units(f"{name}.encoder", x, stage, repeats))
            x, position = F.max_pool2d(encoder[stage][-1], 2, 2, return_indices=True)
            positions.append(position)
        decoder, inputs = [[]] * 5, [x] * 5
        for stage in reversed(range(5)):
            inputs[stage] = F.max_unpool2d(x, positions[stage], 2, 2)
            decoder[stage] = self.units(f"{name}.decoder", inputs[stage], stage, repeats)
            x = decoder[stage][-1]
        return encoder, decoder, inputs

    def segnet_head(self, name: str, x: Tensor) -> Tensor:
        """conv3x3 -> conv1x1."""
        return self.conv(f"{name}.1", self.conv(f"{name}.0", x, padding=1))

    # ResNet and DeepLab

    def stem(self, name: str, image: Tensor) -> Tensor:
        """ImageNet normalisation, conv7x7 with stride 2 -> BatchNorm -> ReLU -> max-pool 3x3 with stride 2."""
        x = self.normalised(image)
        x = self.norm(f"{name}.2", self.conv(f"{name}.1", x, stride=2, padding=3)).relu()
        return F.max_pool2d(x, 3, 2, 1)

    def normalised(self, image: Tensor) -> Tensor:
        """The image minus ImageNet's mean, divided by its deviation."""
        mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])  # float32
        return ((image.movedim(1, 3) - mean) / deviation).movedim(3, 1)

    def layer(self, name: str, x: Tensor, stage: int, depth: int, dilated: bool = True) -> list[Tensor]:
        """The outputs of a ResNet layer's blocks; layer 3 and 4 (stage 2 and 3) are dilated by 2 and 4, or strided."""
        outputs = []
        for number in range(RESNET[depth][stage]):
            stride = 2 if stage >= 1 and number == 0 and not (dilated and stage >= 2) else 1
            rate = {2: 2, 3: 4}.get(stage, 1) if dilated else 1
            first_rate = rate // 2 if rate > 1 and number == 0 else rate
            block = self.bottleneck if depth == 50 else self.basic_block
            x = block(f"{name}.{number}", x, stride, first_rate, rate)
            outputs.append(x)
        return outputs

    def resnet(self, name: str, image: Tensor, depth: int, dilated: bool = True) -> list[list[Tensor]]:
        """The block outputs of the four layers."""
        layers = [self.layer(f"{name}.layers.0", self.stem(f"{name}.stem", image), 0, depth, dilated)]
        for stage in (1, 2, 3):
            layers.append(self.layer(f"{name}.layers.{stage}", layers[-1][-1], stage, depth, dilated))
        return layers

    def basic_block(self, name: str, x: Tensor, stride: int, first_rate: int, rate: int) -> Tensor:
        """conv3x3 -> BatchNorm -> ReLU -> conv3x3 -> BatchNorm, plus the shortcut, ReLU."""
        y = self.conv(f"{name}.conv1", x, stride=stride, padding=first_rate, dilation=first_rate)
        y = self.conv(f"{name}.conv2", self.norm(f"{name}.bn1", y).relu(), padding=rate, dilation=rate)
        return (self.norm(f"{name}.bn2", y) + self.shortcut(name, x, stride)).relu()

    def bottleneck(self, name: str, x: Tensor, stride: int = 1, rate: int = 1, _: int = 1) -> Tensor:
        """conv1x1, conv3x3, conv1x1, each with BatchNorm, plus the shortcut, ReLU."""
        y = self.norm(f"{name}.bn1", self.conv(f"{name}.conv1", x)).relu()
        y = self.conv(f"{name}.conv2", y, stride=stride, padding=rate, dilation=rate)
        y = self.norm(f"{name}.bn3", self.conv(f"{name}.conv3", self.norm(f"{name}.bn2", y).relu()))
        return (y + self.shortcut(name, x, stride)).relu()

    def shortcut(self, name: str, x: Tensor, stride: int) -> Tensor:
        """The block's input, projected where the block has a projection."""
        if f"{name}.downsample.0.weight" not in self.tensors:
            return x
        return self.norm(f"{name}.downsample.1", self.conv(f"{name}.downsample.0", x, stride=stride))

    def deeplab_head(self, name: str, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Pyramid of rates 12, 24, 36 with image-level features, conv3x3, conv1x1, bilinear enlargement."""

        def unit(layer: str, y: Tensor, padding: int = 0, dilation: int = 1) -> Tensor:
            y = self.conv(f"{name}.{layer}.0", y, padding=padding, dilation=dilation)
            return self.norm(f"{name}.{layer}.1", y).relu()

        parts = [unit("pyramid.branches.0", x)]
        parts += [unit(f"pyramid.branches.{number}", x, rate, rate) for number, rate in ((1, 12), (2, 24), (3, 36))]
        level = unit("pyramid.image", F.adaptive_avg_pool2d(x, 1))
        parts.append(F.interpolate(level, x.shape[-2:], mode="bilinear"))
        y = unit("hidden", unit("pyramid.project.0", torch.cat(parts, 1)), padding=1)
        return F.interpolate(self.conv(f"{name}.output", y), size, mode="bilinear", align_corners=True)

    # Classification

    def classes(self, name: str, x: Tensor) -> Tensor:
        """The mean over the image and a linear layer."""
        return F.linear(x.mean((2, 3)), self.tensors[f"{name}.linear.weight"], self.tensors[f"{name}.linear.bias"])

    def vgg16(self, name: str, image: Tensor) -> list[list[Tensor]]:
        """The unit outputs of the five stages, with max-pooling between the stages."""
        x, stages = self.normalised(image), []
        for stage in range(5):
            stages.append(self.units(f"{name}.blocks", x, stage))
            x = _halved(stages[-1][-1])
        return stages

    def wide_resnet(self, name: str, image: Tensor) -> list[Tensor]:
        """The outputs of the stem and the three stages of WRN-28, the last one behind BatchNorm and ReLU."""
        outputs = [self.conv(f"{name}.stem", image, padding=1)]
        for stage in range(3):
            x = outputs[-1]
            for number in range(4):
                block, stride = f"{name}.layers.{stage}.{number}", 1 if number else 2
                y = self.conv(f"{block}.conv1", self.norm(f"{block}.norm1", x).relu(), padding=1)
                y = self.conv(f"{block}.conv2", self.norm(f"{block}.norm2", y).relu(), padding=1, stride=stride)
                x = y + (x if number else self.conv(f"{block}.shortcut", x, stride=2))
            outputs.append(x)
        return [*outputs[:3], self.norm(f"{name}.norm.0", outputs[3]).relu()]

    def attended(
        self, task: str, seen: list[Tensor], masked: list[Tensor], carry: Callable[[int, Tensor], Tensor]
    ) -> Tensor:
        """MTAN's encoder for one task: masks of what is seen, and of what is carried on, times what is masked."""
        x = seen[0][:, :0]
        for stage, (one, other) in enumerate(zip(seen, masked, strict=True)):
            x = carry(stage, self.mask(f"attention.{task}.{stage}", torch.cat([one, x], 1)) * other)
        return x


def _halved(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2, ceil_mode=True)


@pytest.fixture
def halved() -> Callable[[Tensor], Tensor]:
    """Max-pooling over 2x2 windows, the last ones smaller where a side is odd."""
    return _halved


def _randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith(("bias", "running_mean")):
                tensor.normal_(0, 0.3, generator=generator)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 2, generator=generator)
            elif tensor.dim() == 1 and tensor.is_floating_point():
                tensor.uniform_(0.7, 1.4, generator=generator)
    return model


@pytest.fixture
def randomise() -> Callable[[nn.Module], nn.Module]:
    """Give a model random biases and BatchNorm statistics, in place: an exchanged or forgotten one shows."""
    return _randomise


@pytest.fixture
def agrees() -> Callable[..., None]:
    """Check a model against a plain forward pass, in evaluation and training mode: outputs and all gradients.

    In training mode the plain pass gives the auxiliary outputs too. A parameter that no output reads has gradient 0.
    Float64, so only an error in the formula (never rounding: below 1e-9 here) exceeds the tolerance 1e-5.
    """

    def check(model: nn.Module, forward: Callable[[Plain, Tensor], Maps], size: tuple[int, int] = (32, 64)) -> None:
        model = _randomise(copy.deepcopy(model)).double()
        image = torch.rand(3, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        for training in (False, True):
            model.train(training)
            tensors = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            names = [name for name, _ in model.named_parameters()]
            expected = forward(Plain({**tensors, **{n: tensors[n].requires_grad_() for n in names}}, training), image)
            found = model(image)
            assert list(found) == list(expected)
            for task, output in expected.items():
                torch.testing.assert_close(found[task], output, rtol=1e-5, atol=1e-5 * output.abs().max().item())
            weights = {task: torch.randn_like(output) for task, output in expected.items()}
            wanted = _gradients(expected, weights, [tensors[name] for name in names])
            got = _gradients(found, weights, list(model.parameters()))
            largest = max(gradient.abs().max().item() for gradient in wanted)
            for name, one, other in zip(names, got, wanted, strict=True):
                # A gradient that is 0 in exact arithmetic (a bias before BatchNorm) is rounding in both.
                limit = 1e-5 * other.abs().max().item() + 1e-10 * largest
                assert (one - other).abs().max() <= limit, name

    return check


def _gradients(outputs: Maps, weights: Maps, parameters: list[Tensor]) -> tuple[Tensor, ...]:
    total = sum((outputs[task] * weights[task]).sum() for task in outputs)
    return torch.autograd.grad(total, parameters, allow_unused=True, materialize_grads=True)


@pytest.fixture
def count() -> Callable[..., int]:
    """The number of parameters of a model class with these tasks and options."""
    from mtlbench.models._cost import parameter_count

    def measure(cls: type, tasks: dict[str, int], **options: object) -> int:
        with torch.device("meta"):
            return parameter_count(cls(tasks, **options))

    return measure


@pytest.fixture
def gflop() -> Callable[..., float]:
    """The GFLOP of one image of 288 x 384, forward."""
    from mtlbench.models._cost import forward_flops

    def measure(cls: type, tasks: dict[str, int], **options: object) -> float:
        with torch.device("meta"):
            return forward_flops(cls(tasks, **options), (288, 384)) / 1e9

    return measure
