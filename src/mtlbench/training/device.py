"""The device, its precision and its determinism."""

import contextlib
import os
import platform
import re
import resource
import shutil
import sys
from collections.abc import Iterator

import torch
from torch import nn

from mtlbench.system.errors import ParamsError
from mtlbench.system.words import many

#: With ten times as many libgomp gives up, with a hundred times it crashes.
MOST_THREADS = 1024


def choose(name: str, argument: str = "runtime.device") -> torch.device:
    """The device of that name; ``auto`` is a GPU when there is one. ParamsError about ``argument`` for any other.

    Others that torch knows (``meta``, which computes nothing, or those without float64) cannot train.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    match = re.fullmatch(r"cpu|cuda(?::([0-9]{1,4}))?", name)
    if match is None:
        raise ParamsError(f"{argument}: expected auto, cpu, cuda or cuda:<n>, found {name!r}")
    if name == "cpu":
        return torch.device(name)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise ParamsError(f"{argument}: '{name}' is not available here; set it to auto or cpu")
    if int(match[1] or 0) >= count:
        raise ParamsError(f"{argument}: expected cuda:0 to cuda:{count - 1}, the GPUs here, found {name!r}")
    return torch.device(name)


def check_compiler(device: torch.device) -> None:
    """Raise ParamsError where torch.compile would find no C++ compiler for its code for the CPU."""
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise ParamsError(
            f"runtime.compile: on a CPU torch.compile needs a C++ compiler, and '{compiler}' is not installed here; "
            "install it (or name another one in the variable CXX) or set runtime.compile to false"
        )


def make_deterministic(threads: int) -> None:
    """The same bits for the same cell on the same hardware: fixed threads, deterministic kernels.

    The thread count is fixed too, because sums over pixels are split by it; so it may be more than the processors here,
    but raises ParamsError above ``MOST_THREADS``.
    """
    if not 1 <= threads <= MOST_THREADS:
        raise ParamsError(
            f"runtime.threads: expected 1 to {MOST_THREADS} CPU threads of one training process, found {threads}"
        )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # Filling fresh memory with NaN finds bugs in kernels, at the price of a pass over every new tensor.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False


def set_precision(precision: str) -> None:
    """``float32`` means float32: TensorFloat-32 is used only when ``tf32`` is asked for."""
    allowed = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The autocast context of a precision; it does nothing for float32 and tf32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def describe(device: torch.device) -> str:
    """The device in words, for manifests."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_processor()}, {many(threads, 'thread')}"


def peak_memory(device: torch.device) -> int:
    """Bytes: the most that the tensors took on a GPU, or the most that this process took on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)


@contextlib.contextmanager
def frozen_batchnorm(model: nn.Module) -> Iterator[None]:
    """Training-mode forward passes inside the block normalise by the batch but leave the running statistics alone."""
    changed = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    for module in changed:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in changed:
            module.track_running_stats = True


def _processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
