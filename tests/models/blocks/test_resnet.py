"""The dilated ResNet and the DeepLab head against torchvision's, and the loading of pretrained weights."""

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torchvision.models.segmentation.deeplabv3 import DeepLabHead as TorchvisionHead

from mtlbench.models.blocks.deeplab import DeepLabHead
from mtlbench.models.blocks.resnet import ResNetBackbone, channels
from mtlbench.system.errors import ParamsError


@pytest.mark.slow
def test_a_dilated_resnet50_is_torchvision_s(randomise) -> None:
    ours = ResNetBackbone(50, "none").eval()
    theirs = torchvision.models.resnet50(replace_stride_with_dilation=[False, True, True]).eval()
    theirs.fc = theirs.avgpool = nn.Identity()
    randomise(theirs)
    parts = [theirs.conv1, theirs.bn1, theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4]
    state = [tensor for part in parts for tensor in part.state_dict().values()]
    ours.load_state_dict(dict(zip(ours.state_dict(), state, strict=True)))
    image = torch.rand(1, 3, 32, 48)
    normalised = torchvision.transforms.functional.normalize(image, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.no_grad():
        found, expected = ours(image), theirs(normalised).view(1, 2048, 4, 6)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


def test_a_resnet_that_is_not_dilated_is_torchvision_s(randomise) -> None:
    ours, theirs = ResNetBackbone(18, "none", dilated=False).eval(), torchvision.models.resnet18().eval()
    theirs.fc = nn.Identity()
    randomise(theirs)
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    image = torch.rand(1, 3, 72, 84)
    normalised = torchvision.transforms.functional.normalize(image, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.no_grad():
        found, expected = ours(image), theirs(normalised)
    assert found.shape == (1, 512, 3, 3)
    torch.testing.assert_close(found.mean((2, 3)), expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize("depth", [18, 34, 50, 101])
def test_has_output_stride_8_at_every_depth(depth: int) -> None:
    with torch.device("meta"):
        network = ResNetBackbone(depth, "none").eval()
        features = network(torch.empty(1, 3, 64, 96))
    assert features.shape == (1, channels(depth)[-1], 8, 12)


def test_the_head_is_torchvision_s(randomise) -> None:
    ours, theirs = DeepLabHead(16, 5, 0.5).eval(), randomise(TorchvisionHead(16, 5)).eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = torch.randn(2, 16, 6, 7)
    torch.testing.assert_close(ours(x, (6, 7)), theirs(x), rtol=1e-5, atol=1e-5)


def test_dropout_acts_in_training_only() -> None:
    head, x = DeepLabHead(8, 2, 0.5), torch.randn(2, 8, 4, 4)
    assert not torch.equal(head(x, (8, 8)), head(x, (8, 8)))
    head.eval()
    assert torch.equal(head(x, (8, 8)), head(x, (8, 8)))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return torchvision.models.resnet18()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_come_from_a_file(tmp_path: Path, network: nn.Module, suffix: str) -> None:
    file = tmp_path / f"weights{suffix}"
    torch.save(network.state_dict(), file) if suffix == ".pth" else save_file(network.state_dict(), file)
    backbone = ResNetBackbone(18, str(file))
    assert torch.equal(backbone.stem[1].weight, network.conv1.weight)
    assert torch.equal(backbone.layers[3][1].bn2.running_var, network.layer4[1].bn2.running_var)


def test_imagenet_weights_come_from_torch_s_cache(tmp_path: Path, network: nn.Module, monkeypatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    cached.parent.mkdir(parents=True)
    torch.save(network.state_dict(), cached)
    assert torch.equal(ResNetBackbone(18, "imagenet").stem[1].weight, network.conv1.weight)


def test_imagenet_weights_that_cannot_be_fetched_say_where_to_put_them(tmp_path: Path, monkeypatch) -> None:
    def offline(*_, **__) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", offline)
    with pytest.raises(ParamsError, match=r"resnet18-f37072fd.pth could not be fetched .*no route.*hub/checkpoints"):
        ResNetBackbone(18, "imagenet")


def test_weights_of_another_depth_are_refused(tmp_path: Path, network: nn.Module) -> None:
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    with pytest.raises(ParamsError, match=r"expected the tensors of torchvision's resnet34; \d+ are missing.*layer1.2"):
        ResNetBackbone(34, str(tmp_path / "weights.pth"))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ParamsError, match="expected 'none', 'imagenet' or a file, found no file 'imagent'"):
        ResNetBackbone(18, "imagent")


class Trap:
    """Pickling it stores a call."""

    def __reduce__(self) -> tuple:
        return print, ("code ran",)


@pytest.mark.parametrize("content", ["text", "pickle", "list"])
def test_a_file_that_holds_no_tensors_is_refused(tmp_path: Path, content: str, capsys) -> None:
    file = tmp_path / "weights.pth"
    if content == "text":
        file.write_text("no weights\n")
    else:
        torch.save({"conv1.weight": Trap()} if content == "pickle" else [torch.ones(2)], file)
    with pytest.raises(ParamsError, match="expected a file of tensors by name"):
        ResNetBackbone(18, str(file))
    assert "code ran" not in capsys.readouterr().out
