"""VGG as a backbone against torchvision's, and its first weights."""

from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from mtlbench.models.blocks.vgg import VGGBackbone
from mtlbench.system.errors import ParamsError


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """torchvision's VGG11, whose classifier is never looked at."""
    with torch.device("meta"):
        network = torchvision.models.vgg11_bn()
    network.features = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["A"], batch_norm=True)
    return network


@pytest.fixture
def file(tmp_path: Path, network: nn.Module, randomise) -> Path:
    path = tmp_path / "weights.pth"
    randomise(network.features)
    state = {key: tensor for key, tensor in network.state_dict().items() if key.startswith("features.")}
    torch.save({**state, "classifier.0.bias": torch.zeros(3)}, path)
    return path


def test_is_torchvision_s_network_with_the_weights_of_a_file(network: nn.Module, file: Path) -> None:
    ours = VGGBackbone(11, str(file), 1.0).eval()
    image = torch.rand(2, 3, 32, 64)
    normalised = torchvision.transforms.functional.normalize(image, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.no_grad():
        found, expected = ours(image), network.features.eval()(normalised)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize(("depth", "width"), [(13, 1.0), (11, 0.5)])
def test_weights_of_another_depth_or_width_are_refused(file: Path, depth: int, width: float) -> None:
    with pytest.raises(ParamsError, match=rf"expected the tensors of torchvision's vgg{depth}_bn; \d+ are missing"):
        VGGBackbone(depth, str(file), width)


def test_imagenet_weights_come_from_torch_s_cache(tmp_path: Path, network: nn.Module, file: Path, monkeypatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub" / "checkpoints" / "vgg11_bn-6002323d.pth"
    cached.parent.mkdir(parents=True)
    file.rename(cached)
    assert torch.equal(VGGBackbone(11, "imagenet", 1.0).blocks[0][0][0].weight, network.features[0].weight)


def test_without_weights_it_begins_as_torchvision_s_does() -> None:
    torch.manual_seed(0)
    unit = VGGBackbone(11, "none", 1.0).blocks[4][0]
    assert unit[0].weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)  # He et al., fan-out
    assert not unit[0].bias.any()
