"""Prepared arrays as batches on the device: the whole split lives there when it fits."""

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from mtlbench.training.targets import Targets

#: Share of the free device memory that the arrays may take under ``runtime.data: auto``.
_SHARE = 0.4


class Split:
    """One split of a prepared dataset.

    Arrays keep their compact types (uint8 images, int8 labels, half-precision maps); :meth:`batch` turns the
    chosen images into what networks and losses take.
    """

    def __init__(
        self, prepared: Targets, split: str, tasks: Sequence[str], device: torch.device, place: str = "auto"
    ) -> None:
        self.device = device
        arrays = {name: torch.from_numpy(prepared.read(split, name)) for name in ("image", *tasks)}
        self.count = len(arrays["image"])
        self.groups = prepared.groups(split)
        size = sum(array.nbytes for array in arrays.values())
        self.resident = device.type == "cpu" or place == "device" or (place == "auto" and size < _SHARE * _free(device))
        self.arrays = {name: array.to(device) for name, array in arrays.items()} if self.resident else arrays

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """The images of ``indices`` (a CPU tensor): image (N, 3, H, W) float32 in [0, 1], maps as tasks want them."""
        where = indices.to(self.device, non_blocking=True) if self.resident else indices
        picked = {name: array[where] for name, array in self.arrays.items()}
        if not self.resident:
            picked = {name: values.pin_memory().to(self.device, non_blocking=True) for name, values in picked.items()}
        return {name: decode(name, values) for name, values in picked.items()}

    def batches(self, groups: Sequence[Tensor]) -> Generator[dict[str, Tensor]]:
        """Batches in order; when the arrays stay in host memory the next one is fetched meanwhile."""
        if self.resident:
            yield from (self.batch(indices) for indices in groups)
            return
        with ThreadPoolExecutor(1) as pool:
            ahead = [pool.submit(self.batch, indices) for indices in groups[:1]]
            for position in range(len(groups)):
                current = ahead.pop().result()
                if position + 1 < len(groups):
                    ahead.append(pool.submit(self.batch, groups[position + 1]))
                yield current


def in_batches(indices: Tensor, size: int, drop_last: bool = False) -> list[Tensor]:
    """``indices`` cut into batches; ``drop_last`` leaves out an incomplete last one unless it is the only one."""
    parts = list(indices.split(size))
    if drop_last and len(parts) > 1 and len(parts[-1]) < size:
        parts.pop()
    return parts


def decode(name: str, values: Tensor) -> Tensor:
    """Stored values (N, ...) as networks take them: images float32 in [0, 1], indices int64, maps float32."""
    if name == "image":
        return values.to(torch.float32).div_(255).contiguous(memory_format=torch.channels_last)
    return values.to(torch.float32) if values.is_floating_point() else values.long()


def _free(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0]
