"""A trained network from a cell's name, a folder or a file."""

from pathlib import Path

import safetensors.torch
import torch

from mtlbench.inference.exported import SUFFIXES, read_onnx, read_torch
from mtlbench.inference.find import find
from mtlbench.inference.network import Network
from mtlbench.models import Model
from mtlbench.system.errors import DataError, ParamsError
from mtlbench.training import device as devices
from mtlbench.training.build import build_model
from mtlbench.training.description import Description


def load(source: str | Path, device: str = "auto") -> Network:
    """What ``mtlbench.load`` does."""
    place = devices.choose(device, "device")
    path = Path(source)
    if path.is_file() and path.suffix == SUFFIXES["torch"]:
        return Network(*read_torch(path, place), place)
    if path.is_file() and path.suffix == SUFFIXES["onnx"]:
        return Network(*read_onnx(path), torch.device("cpu"))
    path, description, _ = find(source)
    model = build(path, description)
    return Network(model.to(place, memory_format=torch.channels_last), description, place)  # type: ignore[call-overload]


def build(path: Path, description: Description) -> Model:
    """The network of a checkpoint file on the CPU, in evaluation mode; the caller's random numbers are left alone."""
    try:
        block = description.recipe.model
        replaced = {name: "none" for name in ("weights",) if name in block.options}  # by those of the file
        block = block.model_copy(update={"options": block.options | replaced})
        tasks = description.make_tasks()
        with torch.random.fork_rng():
            model = build_model(block, tasks, description.size)
        model.load_state_dict(safetensors.torch.load_file(path))
    except (ParamsError, TypeError, ValueError) as error:
        raise DataError(f"{path}: its network cannot be built here ({error}); is an extension missing?") from None
    except (safetensors.SafetensorError, RuntimeError) as error:
        why = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: not the weights of the network that it describes ({why})") from None
    return model.eval()
