"""Networks as files that run without this package: torch.export (.pt2) and ONNX (.onnx), each with its description."""

import importlib.util
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mtlbench.models import Model
from mtlbench.system.errors import DataError, ParamsError
from mtlbench.training.description import NAME, Description

Forward = Callable[[Tensor], Mapping[str, Tensor]]

#: {format: suffix of its files}.
SUFFIXES = {"torch": ".pt2", "onnx": ".onnx"}
#: The file inside a .pt2 file that holds the description.
_EXTRA = f"{NAME}.json"
#: The largest batch of an exported network.
MOST_IMAGES = 4096


def program(model: Model, size: tuple[int, int]) -> torch.export.ExportedProgram:
    """The network in evaluation mode as a graph: image (N, 3, H, W) of this size, any N, to {task: raw map}."""
    image = torch.zeros(2, 3, *size)
    batch = torch.export.Dim("batch", min=1, max=MOST_IMAGES)
    with torch.no_grad():
        return torch.export.export(model.eval(), (image,), dynamic_shapes=({0: batch},))


def torch_file(model: Model, description: Description) -> bytes:
    """A .pt2 file; ``torch.export.load(path).module()(image)`` runs it where torch is, without this package.

    Made in memory, because torch ends the process where it cannot write, on a full disk for example.
    """
    made = io.BytesIO()
    torch.export.save(program(model, description.size), made, extra_files={_EXTRA: description.text()})
    return made.getvalue()


def onnx_program(graph: torch.export.ExportedProgram, tasks: Iterable[str]) -> Any:
    """What :func:`program` gives as torch's ONNX program: input ``image`` (batch, 3, H, W), an output for each task."""
    made: Any = torch.onnx.export(graph, (), input_names=["image"], output_names=list(tasks), verbose=False)
    if hasattr(made, "rename_axes"):  # since torch 2.12; a name for people, the number of images is free without it
        made.rename_axes({made.model.graph.inputs[0].shape[0]: "batch"})
    return made


def onnx_file(model: Model, description: Description) -> bytes:
    """An .onnx file with the input ``image`` and an output for each task."""
    if missing := [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]:
        raise ParamsError(f"--to onnx: the package '{missing[0]}' is not installed; `pip install onnx onnxscript`")
    made = onnx_program(program(model, description.size), model.tasks)
    made.model.metadata_props[NAME] = description.text()
    content: bytes = made.model_proto.SerializeToString()
    return content


def read_torch(path: Path, device: torch.device) -> tuple[Forward, Description]:
    """(the network, its description) of a .pt2 file, on ``device``."""
    extra = {_EXTRA: ""}
    try:
        found = torch.export.load(path, extra_files=extra)
    except Exception as error:  # a file that is none raises almost anything
        raise _not_exported(path, error) from None
    description = _description(extra[_EXTRA], path)
    if device.type != "cpu":
        from torch.export.passes import move_to_device_pass

        found = move_to_device_pass(found, str(device))
    return found.module(), description


def read_onnx(path: Path) -> tuple[Forward, Description]:
    """(the network, its description) of an .onnx file; it runs on the CPU, by onnxruntime."""
    if importlib.util.find_spec("onnxruntime") is None:
        raise ParamsError(f"{path}: the package 'onnxruntime' is not installed; `pip install onnxruntime`")
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # of onnxruntime's own
        raise _not_exported(path, error) from None
    names = [output.name for output in session.get_outputs()]

    def forward(image: Tensor) -> dict[str, Tensor]:
        answers = session.run(names, {"image": image.contiguous().cpu().numpy()})
        return {name: torch.from_numpy(answer) for name, answer in zip(names, answers, strict=True)}

    return forward, _description(session.get_modelmeta().custom_metadata_map.get(NAME, ""), path)


def _description(text: str, path: Path) -> Description:
    if not text:
        raise DataError(f"{path}: expected a network that `mtlbench export` wrote, found one without a description")
    return Description.parse(text, path)


def _not_exported(path: Path, error: Exception) -> DataError:
    why = " ".join(str(error).split())[:160]
    return DataError(f"{path}: expected an exported network ({why})")
