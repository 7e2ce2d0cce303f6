"""Shared part of the weightings that need each task's gradient of the shared parameters.

One backward pass for each task fills a matrix G (T, P) of the shared gradients, row by row; task-specific
parameters keep the gradient of their own task, unweighted. A method then turns the Gram matrix G G^T (T, T) or G
itself into the gradient of the shared parameters. Nothing here waits for the device.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mtlbench.system.errors import ParamsError
from mtlbench.weightings._base import Weighting, detached

# The matrix's width is a multiple of this, so that the Gram matrix is a sum over equal blocks.
_BLOCK = 4096
# Work on the whole matrix runs over pieces of about this many numbers: on a CPU they stay in its cache, on a GPU they
# bound the memory of float64 copies.
_PIECE = {"cpu": 1 << 18, "other": 1 << 25}


class GradientRows:
    """The matrix G (T, P) of the tasks' gradients of the shared parameters, padded with zero columns.

    Each row keeps every parameter's own memory format (strides), so that copies and the optimiser's reads run
    over contiguous memory, also for channels_last weights.
    """

    def __init__(self, shared: Sequence[nn.Parameter], count: int) -> None:
        self.shared = list(shared)
        first = self.shared[0]
        size = sum(parameter.numel() for parameter in self.shared)
        padded = _padded(size)
        dtype = torch.promote_types(first.dtype, torch.float32)
        self.matrix = torch.zeros(count, padded, dtype=dtype, device=first.device)
        self.combined = torch.zeros(padded, dtype=dtype, device=first.device)
        self.row_views = [self._views(row) for row in self.matrix]
        self.combined_views = self._views(self.combined)

    def fits(self, shared: Sequence[nn.Parameter]) -> bool:
        """Whether this matrix was made for exactly these parameters."""
        return len(shared) == len(self.shared) and all(a is b for a, b in zip(shared, self.shared, strict=True))

    def take(self, task: int) -> None:
        """Move the parameters' gradients into row ``task`` and leave None behind."""
        views, gradients, absent = [], [], []
        for view, parameter in zip(self.row_views[task], self.shared, strict=True):
            if parameter.grad is None:
                absent.append(view)
            else:
                views.append(view)
                gradients.append(parameter.grad)
                parameter.grad = None
        if views:
            torch._foreach_copy_(views, gradients)
        if absent:
            torch._foreach_zero_(absent)

    def write(self, combined: Tensor) -> None:
        """Make the vector (P,) the gradient of the shared parameters."""
        views = self.combined_views if combined is self.combined else self._views(combined)
        for parameter, view in zip(self.shared, views, strict=True):
            parameter.grad = view.to(parameter.dtype)

    def combination(self, weights: Tensor, other: Tensor | None = None) -> Tensor:
        """The weighted sum of the rows (P,) of G, or of ``other`` (T, P), in a buffer that the next call overwrites."""
        matrix = self.matrix if other is None else other
        return torch.mv(matrix.t(), weights.to(matrix.dtype), out=self.combined)

    def pieces(self) -> Iterator[slice]:
        """Ranges of columns that together are all of G, each a multiple of the block."""
        count, width = self.matrix.shape
        numbers = _PIECE["cpu" if self.matrix.device.type == "cpu" else "other"]
        step = max(1, numbers // (count * _BLOCK)) * _BLOCK
        return (slice(start, min(start + step, width)) for start in range(0, width, step))

    def gram(self, other: Tensor | None = None) -> Tensor:
        """G G^T (T, T) in float64, or the same of ``other`` (T, P)."""
        matrix = self.matrix if other is None else other
        return self._products(matrix, matrix)

    def products(self, other: Tensor) -> Tensor:
        """``other`` G^T (T, T) in float64: entry (i, j) is the product of row i of ``other`` (T, P) and row j of G."""
        return self._products(other, self.matrix)

    def _products(self, left: Tensor, right: Tensor) -> Tensor:
        """The sum runs over blocks of columns: a tall, thin product would occupy one processor of a GPU."""
        total = torch.zeros(len(left), len(right), dtype=torch.float64, device=left.device)
        for piece in self.pieces():
            blocks = _blocks(left[:, piece])
            others = blocks if right is left else _blocks(right[:, piece])
            total += torch.bmm(blocks, others.mT).sum(0)
        return total

    def _views(self, row: Tensor) -> list[Tensor]:
        views, start = [], row.storage_offset()
        for parameter in self.shared:
            views.append(row.as_strided(parameter.shape, _dense_strides(parameter), start))
            start += parameter.numel()
        return views


class GradientWeighting(Weighting):
    """Base of the gradient methods: override :meth:`task_weights`, or :meth:`combine` for work on the rows.

    Logs the norm of each task's shared gradient and the cosine of each pair; a method with a solver also logs
    ``solver_failed``, 1 for a step whose solution is not good (the report shows the share of such steps).
    """

    needs_gradients = True

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self._rows: GradientRows | None = None
        self._logs: dict[str, Tensor] = {}
        self._lazy: list[str] = []

    def update(self, losses: Sequence[Tensor], shared: Sequence[nn.Parameter]) -> Tensor:
        """One backward pass for each task, then the shared gradient from all of them."""
        values = detached(losses)
        transformed = self.transform(losses)
        if not shared:
            for task, loss in enumerate(transformed):
                loss.backward(retain_graph=task < self.count - 1)
            self.record(torch.zeros(self.count, self.count, dtype=torch.float64, device=values.device))
            return torch.ones_like(values)
        rows = self._collect(transformed, shared)
        with torch.no_grad():
            gram = rows.gram()
            self.record(gram)
            combined, weights = self.combine(rows, gram, values)
        rows.write(combined)
        return weights.detach().to(values.dtype)

    def transform(self, losses: Sequence[Tensor]) -> Sequence[Tensor]:
        """The losses that are differentiated; each may depend on its own task's loss only."""
        return losses

    def combine(self, rows: GradientRows, gram: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        """The shared gradient (P,) and the weights (T,) that stand for it in the log."""
        weights = self.task_weights(gram, losses)
        return rows.combination(weights), weights

    def task_weights(self, gram: Tensor, losses: Tensor) -> Tensor:
        """The weights (T,) from the Gram matrix (T, T, float64) and the detached losses (T,)."""
        raise TypeError(f"{type(self).__name__} must define task_weights or combine")

    def logs(self) -> dict[str, Tensor]:
        """``grad_norm_<task>``, ``cosine_<task>_<task>`` and, with a solver, ``solver_failed``."""
        return dict(self._logs)

    def record(self, gram: Tensor) -> None:
        """Keep the norms and cosines of a step for :meth:`logs`."""
        cosine, norms = cosines(gram)
        for i, first in enumerate(self.tasks):
            self._logs[f"grad_norm_{first}"] = norms[i]
            for j in range(i + 1, self.count):
                self._logs[f"cosine_{first}_{self.tasks[j]}"] = cosine[i, j]

    def record_failure(self, failed: Tensor) -> None:
        """Keep whether the step's solver failed (a 0-dim bool tensor) for :meth:`logs`."""
        self._logs["solver_failed"] = failed.double()

    def register_rows(self, name: str) -> None:
        """A buffer of the size of G that exists after the first step and is part of ``state_dict``."""
        self.register_buffer(name, None)
        self._lazy.append(name)

    def lazy_shapes(self, shared: Sequence[nn.Parameter]) -> dict[str, tuple[int, ...]]:
        """Those of :meth:`register_rows`."""
        width = _padded(sum(parameter.numel() for parameter in shared))
        return dict.fromkeys(self._lazy, (self.count, width))

    def tracked(self, name: str, rows: GradientRows) -> Tensor:
        """The buffer of :meth:`register_rows`; zeros (T, P) at its first use."""
        if getattr(self, name) is None:
            setattr(self, name, torch.zeros_like(rows.matrix))
        return getattr(self, name)

    def _collect(self, losses: Sequence[Tensor], shared: Sequence[nn.Parameter]) -> GradientRows:
        if self._rows is None or not self._rows.fits(shared):
            self._rows = GradientRows(shared, self.count)
        for task, loss in enumerate(losses):
            loss.backward(retain_graph=task < self.count - 1)
            self._rows.take(task)
        self.all_reduce([self._rows.matrix])
        return self._rows

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in self._lazy:
            saved = state_dict.get(prefix + name)
            setattr(self, name, None if saved is None else torch.empty_like(saved))
        super()._load_from_state_dict(state_dict, prefix, *args)


def cosines(gram: Tensor) -> tuple[Tensor, Tensor]:
    """The cosines (T, T) and norms (T,) behind a Gram matrix; a zero gradient has cosine 0 with all others.

    The diagonal is exactly 1, so the cosine matrix of T gradients is the Gram matrix of their unit vectors.
    """
    norms = gram.diagonal().sqrt()
    safe = torch.where(norms > 0, norms, torch.ones_like(norms))
    cosine = (gram / safe[:, None] / safe[None, :]).clamp(-1.0, 1.0)
    identity = torch.eye(len(gram), dtype=torch.bool, device=gram.device)
    # NaN stays NaN, also on the diagonal: a broken gradient must show in the log.
    return torch.where(identity & ~norms.isnan(), torch.ones_like(cosine), cosine), norms


def require_few_tasks(weighting: Weighting, most: int) -> None:
    """Raise ParamsError where an exact method that enumerates subsets of tasks would take too long."""
    if weighting.count > most:
        raise ParamsError(
            f"{type(weighting).__name__}: its exact solver takes at most {most} tasks, found {weighting.count}. "
            "Use another weighting for so many tasks."
        )


def _blocks(columns: Tensor) -> Tensor:
    """Columns (T, p) in float64 as (p / block, T, block)."""
    return columns.double().unflatten(1, (-1, _BLOCK)).transpose(0, 1)


def _padded(size: int) -> int:
    """The width of a matrix for so many numbers."""
    return -(-size // _BLOCK) * _BLOCK


def _dense_strides(parameter: Tensor) -> tuple[int, ...]:
    """The parameter's strides where it fills its memory without gaps (any memory format), else contiguous ones."""
    dense = torch.empty_like(parameter, device="meta", memory_format=torch.preserve_format)
    return dense.stride()
