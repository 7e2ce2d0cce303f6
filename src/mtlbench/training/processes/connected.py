"""One of several processes of a run: what it exchanges with the others."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mtlbench.models import Model
from mtlbench.system.errors import MtlbenchError, ParamsError
from mtlbench.training.processes.ranks import Part
from mtlbench.training.processes.sharded import Sharded
from mtlbench.weightings import Weighting


@dataclass
class Connected(Part):
    """This process, number ``rank`` of ``count`` of a run; torch's default process group connects them."""

    #: The name of a signal that asked the run to stop, or None; only what the first process hears counts.
    asked: Callable[[], str | None] = lambda: None

    @property
    def starter(self) -> int:
        """See :class:`Ranks`: the parent started this process."""
        return os.getppid()

    def spread(self, model: Model, weighting: Weighting) -> nn.Module:
        """See :class:`Ranks`: a network that computes its slice of each batch."""
        network = Sharded(model, self)
        weighting.all_reduce = self.all_reduce  # type: ignore[method-assign]
        weighting.whole_batch = network.whole_batch  # type: ignore[method-assign]
        return network

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Replace the tensors by their sums over the processes, in place: one exchange for each dtype."""
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            same = [tensor for tensor in tensors if tensor.dtype == dtype]
            if len(same) == 1 and same[0].is_contiguous():
                dist.all_reduce(same[0])
                continue
            flat = torch.cat([tensor.reshape(-1) for tensor in same])
            dist.all_reduce(flat)
            parts = flat.split([tensor.numel() for tensor in same])
            torch._foreach_copy_(same, [part.view(tensor.shape) for part, tensor in zip(parts, same, strict=True)])

    @contextmanager
    def first_ahead(self) -> Iterator[None]:
        """See :class:`Ranks`."""
        if not self.first:
            self._meet()
        yield
        if self.first:
            self._meet()

    @staticmethod
    def _meet() -> None:
        dist.all_reduce(torch.zeros(1))  # on the CPU, so that no GPU waits

    def close(self) -> None:
        """Leave the others; no exchange may follow."""
        dist.destroy_process_group()

    def agree(self, name: str | None) -> str | None:
        """The signal that the first process heard of, on all of them, so that all stop after the same step."""
        name = name or self.asked()
        number = torch.tensor(signal.Signals[name].value if name else 0)
        dist.broadcast(number, src=0)
        return signal.Signals(int(number)).name if number else None

    @torch.no_grad()
    def check_equal(self, parameters: Sequence[Tensor]) -> None:
        """Raise MtlbenchError unless the parameters are the same on all processes (compared by their norms)."""
        norms = torch.stack(torch._foreach_norm(list(parameters))).nan_to_num()
        ends = torch.stack([norms, -norms])
        dist.all_reduce(ends, op=dist.ReduceOp.MAX)
        if not torch.equal(ends[0], -ends[1]):
            raise MtlbenchError(
                f"training.processes: the networks of the {self.count} processes are no longer the same, though each "
                "step is. Are the GPUs of one model? Otherwise please report this."
            )

    def check_batches(self, sizes: Sequence[int]) -> None:
        """Raise ParamsError unless each of the batches has an image for every process."""
        if min(sizes) < self.count:
            raise ParamsError(
                f"training.processes: expected an image for each of the {self.count} processes in every step, found a "
                f"batch of {min(sizes)}. Change training.batch_size or training.processes, or leave out an incomplete "
                "last batch with training.drop_last: true."
            )
