"""What a weighting is: how the losses or gradients of T tasks become one update.

The training loop calls, in this order:

    attach(features)                 once, only when ``reads_features``, before the optimiser is made
    judge(shortfalls)                at the start of every epoch but the first, only when ``wants_reference``
    begin_epoch(epoch, history)      at the start of every epoch
    backward(losses, shared)         every step; fills ``.grad`` of every parameter
    (the optimiser steps)
    after_step(losses)               every step, only when ``wants_losses_after_step``

Learned quantities are ``nn.Parameter``s (they join the optimiser), other state is buffers, so that
``state_dict`` round-trips bit for bit.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn


class Features(Protocol):
    """The last features of each task: what the last linear layers in front of its output read."""

    #: {task: how many}.
    channels: Mapping[str, int]

    def take(self) -> dict[str, Tensor]:
        """{task: (n, channels)}, means over the pixels of each image of this process in the step's pass, with their
        graph; once for each pass."""


class Weighting(nn.Module):
    """Base of all weightings.

    The constructor takes ``tasks`` (their names, in the order of the losses) and keyword-only
    hyper-parameters.
    """

    #: Where it comes from: "Author et al., venue year (arXiv number)".
    paper: ClassVar[str]
    #: Its name in tables and figures, for people; without one the class's name serves.
    display: ClassVar[str] = ""
    #: (option, name) pairs: its name where that option is set.
    display_with: ClassVar[tuple[tuple[str, str], ...]] = ()
    #: The title of the paper, for the bibliography.
    paper_title: ClassVar[str] = ""
    #: True when each task's gradient of the shared parameters is needed (T backward passes). Such a method leaves them
    #: a gradient made from those that :meth:`all_reduce` added up.
    needs_gradients: ClassVar[bool] = False
    #: True when the loop must compute the losses again after the optimiser's step (same batch, BatchNorm untouched).
    wants_losses_after_step: ClassVar[bool] = False
    #: False when the weights do not depend on the losses of the step: then a step may have the loss of one domain
    #: alone, the others being 0 without a gradient. A literal in the class body; ``compares_losses_with`` names options
    #: that make it True when they are set.
    compares_losses: ClassVar[bool] = True
    #: Whether its weights need the mean losses of all tasks in every epoch; a literal in the class body.
    compares_epochs: ClassVar[bool] = False
    compares_losses_with: ClassVar[tuple[str, ...]] = ()
    #: True when :meth:`judge` must be called; a literal in the class body. Needs the protocol ``held_out``.
    wants_reference: ClassVar[bool] = False
    #: True when :meth:`attach` must be called.
    reads_features: bool = False
    #: True when :meth:`prepare_step` must be called before each step, with the training batch alone.
    looks_ahead: ClassVar[bool] = False
    #: True when the loop must call it and provide ``held_out`` as well.
    wants_held_out: ClassVar[bool] = False
    #: With ``wants_held_out``: the share of the training images that is held out, unless the protocol holds some out.
    held_out_share: float

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)

    @property
    def count(self) -> int:
        """Number of tasks T."""
        return len(self.tasks)

    def attach(self, features: Features) -> None:
        """Keep what gives the network's last features; only when ``reads_features``.

        Parameters of a size that depends on them come into being here, from torch's global generator.
        """

    def judge(self, shortfalls: Sequence[float]) -> None:
        """By how many percent each task's metrics on the held-out images are worse than those of its single-task
        network, on average; of the epoch before, so not called in the first. Only when ``wants_reference``.
        """

    def begin_epoch(self, epoch: int, history: Sequence[Sequence[float]]) -> None:
        """``history[e][t]`` is the mean unweighted training loss of task t over epoch e < ``epoch``."""

    def prepare_step(self, model: nn.Module, losses_on: Callable[[str], list[Tensor]], learning_rate: float) -> None:
        """Look-ahead methods only (``looks_ahead``, ``wants_held_out``), called before each step's forward pass.

        ``losses_on("train")`` and, with ``wants_held_out``, ``losses_on("held_out")`` compute the T losses of
        ``model`` on the coming training batch and on a held-out batch, with BatchNorm statistics left alone; the
        parameters of ``model`` must be as they were, bit for bit, when this returns.
        """

    def backward(self, losses: Sequence[Tensor], shared: Sequence[nn.Parameter]) -> Tensor:
        """Fill the gradients for one update; return the weights (T,) that were applied, detached, on the device.

        ``losses``: T scalars that hang on one graph. ``shared``: the parameters that at least two tasks reach.
        All ``.grad`` are None on entry. Task-specific parameters get their own task's gradient. No host
        synchronisation. With one task every method is plain training, whatever its formula.
        """
        if len(losses) != self.count:
            raise ValueError(f"{type(self).__name__}: expected {self.count} losses, found {len(losses)}")
        if self.count == 1:
            return self.apply_weights(losses, torch.ones_like(losses[0].detach()).reshape(1))
        return self.update(losses, shared)

    def update(self, losses: Sequence[Tensor], shared: Sequence[nn.Parameter]) -> Tensor:
        """What :meth:`backward` does for two or more tasks; here: the weighted sum of the losses.

        A loss that is not finite reaches :meth:`weights` as 1, so that it cannot spoil the weights (and with
        them the task-specific parameters) of the other tasks; its own gradients stay as they are.
        """
        values = detached(losses)
        return self.apply_weights(losses, self.weights(torch.where(values.isfinite(), values, 1.0)))

    @staticmethod
    def apply_weights(losses: Sequence[Tensor], weights: Tensor) -> Tensor:
        """Differentiate the sum of ``weights[t] * losses[t]`` in one pass; return the weights, detached."""
        weights = weights.detach().to(losses[0].dtype)
        torch.autograd.backward(list(losses), list(weights.unbind()))
        return weights

    def weights(self, losses: Tensor) -> Tensor:
        """Loss-based methods: the weights (T,) for the current losses (T,), both detached."""
        raise TypeError(f"{type(self).__name__} must define update or weights")

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Add gradients up over the processes of a data parallel run, in place; in one process nothing.

        There the losses are those of the whole batch on every process, but a backward pass gives only the part of a
        gradient that flows through the process's own images. A method that looks at gradients, or uses them itself,
        must call this before; what :meth:`backward` leaves in ``.grad`` of other parameters the loop adds up. The loop
        replaces this method.
        """

    def whole_batch(self, rows: Tensor) -> Tensor:
        """Rows (n, C) of this process's images -> those of all images of the batch (N, C), the same on all processes.

        Only the own ones have a graph; the loop adds up what flows through it to the network. In one process they are
        all rows. The loop replaces this method.
        """
        return rows

    def lazy_shapes(self, shared: Sequence[nn.Parameter]) -> dict[str, tuple[int, ...]]:
        """{name: shape} of buffers that are part of ``state_dict`` from the first step on only."""
        return {}

    def after_step(self, losses: Tensor) -> None:
        """The losses (T,) on the same batch after the optimiser's step; only when ``wants_losses_after_step``."""

    def logs(self) -> dict[str, Tensor]:
        """More scalars of the last step to average over the epoch and write into ``history.csv``."""
        return {}


def detached(losses: Sequence[Tensor]) -> Tensor:
    """The values of T scalar losses as one tensor (T,) without their graph."""
    return torch.stack([loss.detach() for loss in losses])


def positive(losses: Tensor) -> Tensor:
    """The losses, at least 1e-12, for formulas that divide by them or take their logarithm.

    A batch without a valid pixel has loss 0 with a zero gradient, which such a formula must not turn into NaN.
    """
    return losses.clamp_min(1e-12)
