"""Data parallel training: P processes, a device each, compute what one process computes on the whole batch.

Every process draws and augments the same whole batch, runs the network on its own slice of the images and gathers the
predictions of the others as constants. So each has the losses of the whole batch, and its backward pass gives the
part of the gradient that flows through its own images: the gradient is the sum of the parts. BatchNorm normalises by
the statistics of the whole batch, dropout takes its slice of a mask for the whole batch. All parameters, the optimiser
and the weighting are therefore the same bits on every process, and equal to those of one process up to rounding.

(``DistributedDataParallel`` averages gradients of separate losses, one backward pass at a time: the masked means over
the whole batch and the T backward passes of the gradient methods do not fit it.)
"""

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mtlbench.models import Model
from mtlbench.system.errors import MtlbenchError, ParamsError


@dataclass
class Ranks:
    """This process, number ``rank`` of ``count``; torch's default process group connects them."""

    rank: int
    count: int
    #: The name of a signal that asked the run to stop, or None; only what the first process hears counts.
    asked: Callable[[], str | None] = lambda: None
    #: Images in the whole batch that the network looks at.
    images: int = 0

    def __deepcopy__(self, _: dict[int, object]) -> "Ranks":
        """Itself: a copied network is in the same process."""
        return self

    def slice_of(self, rank: int) -> slice:
        """Which images of the whole batch belong to a process: nearly equal parts, in order."""
        return slice(self.images * rank // self.count, self.images * (rank + 1) // self.count)

    @property
    def own(self) -> slice:
        """Which images of the whole batch belong to this process."""
        return self.slice_of(self.rank)

    @property
    def shares(self) -> list[float]:
        """Each process's share of the images."""
        slices = [self.slice_of(rank) for rank in range(self.count)]
        return [(part.stop - part.start) / self.images for part in slices]

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

    def wait_for_first(self) -> None:
        """Let the first process go ahead: the others wait here until it calls :meth:`first_is_done`."""
        if self.rank > 0:
            self._meet()

    def first_is_done(self) -> None:
        """See :meth:`wait_for_first`."""
        if self.rank == 0:
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


class Sharded(nn.Module):
    """The network over all processes: whole batches in, whole predictions out, only the own slice with a graph."""

    def __init__(self, model: Model, ranks: Ranks) -> None:
        super().__init__()
        _replace(model, ranks)
        self.model = model
        self.ranks = ranks

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """{task: (N, channels, H, W)} in at least float32 from images (N, 3, H, W), the same on every process."""
        self.ranks.images = len(image)
        own = self.ranks.own
        count = own.stop - own.start
        # A process without an image of its own (only in evaluation) runs the network all the same, for the shapes.
        raw = self.model(image[own] if count else image[:1])
        return self._gather({task: _wide(values[:count]) for task, values in raw.items()})

    def _gather(self, raw: dict[str, Tensor]) -> dict[str, Tensor]:
        """The predictions of all processes in one exchange: everyone adds zeros outside of its own rows."""
        own = self.ranks.own
        rows = [values.detach().permute(0, 2, 3, 1).flatten(1) for values in raw.values()]
        whole = rows[0].new_zeros(self.ranks.images, sum(part.shape[1] for part in rows))
        whole[own] = torch.cat(rows, 1)
        dist.all_reduce(whole)
        gathered = {}
        for (task, values), part in zip(raw.items(), whole.split([part.shape[1] for part in rows], 1), strict=True):
            _, channels, height, width = values.shape
            others = part.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
            others = others.contiguous(memory_format=_memory_format(values))
            gathered[task] = torch.cat([others[: own.start], values, others[own.stop :]])
        return gathered


def _replace(model: nn.Module, ranks: Ranks) -> None:
    """Make layers that see more than one image, or draw numbers, those of the whole batch; parameters stay."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d and module.affine and module.momentum is not None:
            module.__class__ = GlobalBatchNorm2d
            module.ranks = ranks  # type: ignore[assignment]
        elif type(module) is nn.Dropout:
            module.__class__ = GlobalDropout
            module.ranks = ranks  # type: ignore[assignment]
        elif isinstance(module, (nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd)):
            raise ParamsError(
                "training.processes: of the layers that depend on the batch, more than one process supports "
                f"BatchNorm2d (affine, with a momentum) and Dropout, found {module}"
            )


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm whose training statistics are those of the whole batch; made by :class:`Sharded`."""

    ranks: Ranks

    def forward(self, x: Tensor) -> Tensor:
        """(n, C, H, W) of the own images -> the same shape."""
        if not self.training:
            return super().forward(x)
        with torch.no_grad():
            mean, variance = self._moments(x)
            if self.track_running_stats:
                assert self.momentum is not None
                assert self.running_mean is not None
                assert self.running_var is not None
                assert self.num_batches_tracked is not None
                count = self.ranks.images * x.shape[2] * x.shape[3]
                self.num_batches_tracked.add_(1)
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        return _Normalise.apply(x, self.weight, self.bias, mean, variance, self.eps, self.ranks)

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and biased variance (C,) of the whole batch, from those of each process's part (Chan et al., 1979)."""
        own = torch.stack(torch.var_mean(_wide(x), (0, 2, 3), correction=0))
        every = torch.zeros(self.ranks.count, *own.shape, dtype=torch.float64, device=x.device)
        every[self.ranks.rank] = own
        dist.all_reduce(every)
        variances, means = every.unbind(1)
        shares = self.ranks.shares
        mean = sum(share * part for share, part in zip(shares, means, strict=True))
        parts = zip(shares, means, variances, strict=True)
        variance = sum(share * (inner + (part - mean).square()) for share, part, inner in parts)
        return mean.to(own.dtype), variance.to(own.dtype)


class _Normalise(torch.autograd.Function):
    """BatchNorm by given statistics, whose gradient includes that the statistics depend on all images."""

    @staticmethod
    def forward(ctx, x, weight, bias, mean, variance, eps, ranks):
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps, ctx.ranks = eps, ranks
        return nn.functional.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx, gradient):
        x, weight, mean, variance = ctx.saved_tensors
        inverse = (variance + ctx.eps).rsqrt()
        # With constant statistics; the other two are the sums over the own pixels of g * (x - mean) / std and of g.
        direct, for_weight, for_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, variance, mean, inverse, False, ctx.eps, [True, True, True]
        )
        sums = torch.stack([for_weight, for_bias])
        dist.all_reduce(sums)
        count = ctx.ranks.images * x.shape[2] * x.shape[3]
        along, constant = -weight * inverse / count * sums
        slope = along * inverse
        offset = constant - slope * mean
        whole = torch.addcmul(_wide(direct), x, slope[:, None, None]).add_(offset[:, None, None])
        return whole.to(x.dtype), for_weight, for_bias, None, None, None, None


class GlobalDropout(nn.Dropout):
    """Dropout by the own slice of a mask for the whole batch, so that all processes draw the same numbers."""

    ranks: Ranks

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) of the own images -> the same shape."""
        if not self.training:
            return x
        # In the layout of the whole batch: the generator fills memory in its order.
        whole = torch.empty(self.ranks.images, *x.shape[1:], dtype=x.dtype, device=x.device)
        kept = whole.contiguous(memory_format=_memory_format(x)).bernoulli_(1 - self.p)
        return x * kept[self.ranks.own].div_(1 - self.p)


def _wide(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _memory_format(values: Tensor) -> torch.memory_format:
    last = values.is_contiguous(memory_format=torch.channels_last) and not values.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format
