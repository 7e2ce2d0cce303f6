"""First weights of a backbone, from ImageNet or from a file."""

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mtlbench.system.errors import ParamsError

#: How the names of the classifier's tensors begin in torchvision's ResNets and VGGs.
CLASSIFIERS = ("fc.", "classifier.")


def pretrained(
    network: str, weights: str, expected: dict[str, Tensor], classifiers: tuple[str, ...] = CLASSIFIERS
) -> dict[str, Tensor]:
    """The state of a network of torchvision ("resnet50") without its classifier, from ImageNet or from a file.

    A file is safetensors (name ends with .safetensors) or what ``torch.save(network.state_dict())`` wrote; it is
    read without running code from it. ``expected``: the tensors that are wanted. Raises ParamsError when the
    file is missing, is no such file or holds another network.
    """
    state = _fetch(network) if weights == "imagenet" else _read(Path(weights).expanduser())
    state = {name: tensor for name, tensor in state.items() if not name.startswith(classifiers)}
    wrong = [
        name
        for name in sorted(state.keys() | expected.keys())
        if name not in state or name not in expected or state[name].shape != expected[name].shape
    ]
    if wrong:
        raise ParamsError(
            f"weights '{weights}': expected the tensors of torchvision's {network}; "
            f"{len(wrong)} are missing, unknown or of another shape, the first is '{wrong[0]}'"
        )
    return state


def _fetch(network: str) -> dict[str, Tensor]:
    import torchvision  # here, because it takes as long to start as torch and most runs begin without weights

    source = torchvision.models.get_model_weights(network)["IMAGENET1K_V1"]
    try:
        return source.get_state_dict(progress=False, check_hash=True)
    except OSError as error:
        raise ParamsError(
            f"weights 'imagenet': {source.url} could not be fetched ({error}). Fetch it elsewhere and set "
            f"weights to the file's path, or put it into {torch.hub.get_dir()}/checkpoints"
        ) from None


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ParamsError(f"weights: expected 'none', 'imagenet' or a file, found no file '{path}'")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ParamsError(f"weights: expected a file of tensors by name, found '{path}': {error}") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ParamsError(f"weights: expected a file of tensors by name, found another kind of content in '{path}'")
    return state
