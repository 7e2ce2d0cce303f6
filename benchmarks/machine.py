"""What this machine reaches: matrix products, convolutions and copies, in every precision that it has.

    python benchmarks/machine.py [--device auto] [--threads 1] [--rounds 5]

The convolution is the best of several that the networks here are made of (3 x 3, channels_last, forward): the limit
that `mtlbench bench roofline` compares models with. Times are processor seconds of this process on a CPU, so other
programs do not count, and seconds on a GPU; the best of several rounds each.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from rich.box import MARKDOWN
from rich.table import Table
from torch.nn.functional import conv2d
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from mtlbench.system.console import console
from mtlbench.training import device as devices

#: (images, channels in and out, height, width) of the convolutions.
CONVOLUTIONS = ((2, 64, 72, 96), (2, 128, 72, 96), (2, 256, 36, 48), (2, 512, 18, 24))
#: The side of the square matrices, and the bytes of what is copied: more than any cache holds.
SIDE, COPIED = {"cpu": 1536, "cuda": 8192}, {"cpu": 2**28, "cuda": 2**30}
#: A round repeats the work until it has lasted this many seconds.
SHORTEST = 0.05


@dataclass(frozen=True)
class Limits:
    """Operations in a second of a matrix product and of the best convolution, and bytes in a second of a copy."""

    precision: str
    matrix: float
    convolution: float
    copy: float


def clock(device: torch.device) -> float:
    """Seconds: of the processor on a CPU, and of the wall when a GPU has done all of its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def seconds(work: Callable[[], object], device: torch.device, rounds: int) -> float:
    """The seconds of one call: the least mean over a round's calls, after a first call that does not count."""
    work()
    begin = clock(device)
    work()
    calls = max(1, round(SHORTEST / max(clock(device) - begin, 1e-6)))
    times = []
    for _ in range(rounds):
        begin = clock(device)
        for _ in range(calls):
            work()
        times.append((clock(device) - begin) / calls)
    return min(times)


@dataclass(frozen=True)
class Work:
    """What something takes: seconds, operations, and the bytes that its operations read and write."""

    seconds: float
    operations: int
    bytes: int

    def shares(self, limit: Limits) -> tuple[float, float]:
        """The shares of the convolution limit and of the copy limit."""
        return self.operations / self.seconds / limit.convolution, self.bytes / self.seconds / limit.copy


class Traffic(TorchDispatchMode):
    """Adds up the bytes of the tensors that operations take and give; views move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        if not operation.is_view:
            tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return result


def work_of(call: Callable[[], object], device: torch.device, rounds: int) -> Work:
    """Time, operations and traffic of a call."""
    best = seconds(call, device, rounds)
    with FlopCounterMode(display=False) as counter:
        call()
    with Traffic() as traffic:
        call()
    return Work(best, counter.get_total_flops(), traffic.bytes)


def precisions(device: torch.device) -> list[str]:
    """Those that a training here may name; tf32 is one of GPUs."""
    return ["float32", "tf32", "bfloat16"] if device.type == "cuda" else ["float32", "bfloat16"]


@torch.no_grad()
def limits(device: torch.device, precision: str, rounds: int = 5) -> Limits:
    """Measure the machine in one precision."""
    devices.set_precision(precision)
    kind = {"device": device, "dtype": torch.bfloat16 if precision == "bfloat16" else torch.float32}
    side = SIDE[device.type]
    left, right = torch.randn(side, side, **kind), torch.randn(side, side, **kind)
    matrix = 2 * side**3 / seconds(lambda: left @ right, device, rounds)
    source = torch.ones(COPIED[device.type] // left.element_size(), **kind)
    target = torch.empty_like(source)
    copy = 2 * COPIED[device.type] / seconds(lambda: target.copy_(source), device, rounds)
    convolution = max(_convolution(*form, kind, rounds) for form in CONVOLUTIONS)
    return Limits(precision, matrix, convolution, copy)


def _convolution(images: int, channels: int, height: int, width: int, kind: dict, rounds: int) -> float:
    """Operations in a second."""
    image = torch.randn(images, channels, height, width, **kind).contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(channels, channels, 3, 3, **kind).contiguous(memory_format=torch.channels_last)
    # The border needs fewer products than this counts, as everybody counts.
    operations = 2 * images * height * width * channels**2 * 9
    return operations / seconds(lambda: conv2d(image, kernel, padding=1), kind["device"], rounds)


def table(found: list[Limits]) -> Table:
    """The limits, one line for each precision."""
    made = Table("precision", box=MARKDOWN)
    for column in ("matrix product, GFLOP/s", "convolution, GFLOP/s", "copy, GB/s"):
        made.add_column(column, justify="right")
    for one in found:
        made.add_row(one.precision, f"{one.matrix / 1e9:.0f}", f"{one.convolution / 1e9:.0f}", f"{one.copy / 1e9:.1f}")
    return made


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, default=1, help="threads of the CPU")
    parser.add_argument("--rounds", type=int, default=5, help="of which the best counts")
    arguments = parser.parse_args()
    devices.make_deterministic(arguments.threads)
    device = devices.choose(arguments.device)
    print(f"{devices.describe(device)}, torch {torch.__version__}\n")
    console().print(table([limits(device, name, arguments.rounds) for name in precisions(device)]))


if __name__ == "__main__":
    main()
