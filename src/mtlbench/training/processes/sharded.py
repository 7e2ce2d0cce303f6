"""Data parallel training: P processes, a device each, compute what one process computes on the whole batch.

Every process draws and augments the same whole batch, runs the network on its own slice of the images and gathers the
predictions of the others as constants. So each has the losses of the whole batch, and its backward pass gives the
part of the gradient that flows through its own images: the gradient is the sum of the parts. BatchNorm normalises by
the statistics of the whole batch, dropout takes its slice of a mask for the whole batch. All parameters, the optimiser
and the weighting are therefore the same bits on every process, and equal to those of one process up to rounding.

(``DistributedDataParallel`` averages gradients of separate losses, one backward pass at a time: the masked means over
the whole batch and the T backward passes of the gradient methods do not fit it.)
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mtlbench.models import Model
from mtlbench.system.errors import ParamsError
from mtlbench.training.processes.ranks import Part


class Sharded(nn.Module):
    """The network over all processes: whole batches in, whole predictions out, only the own slice with a graph."""

    def __init__(self, model: Model, ranks: Part) -> None:
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

    def whole_batch(self, rows: Tensor) -> Tensor:
        """Rows (n, C) of the own images -> (N, C) of the whole batch, the same on every process."""
        return self._gather({"": rows[:, :, None, None]})[""].flatten(1)

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


def _replace(model: nn.Module, ranks: Part) -> None:
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

    ranks: Part

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
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float, ranks: Any
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps, ctx.ranks = eps, ranks
        return nn.functional.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
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

    ranks: Part

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
