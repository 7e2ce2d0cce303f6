"""A run between two steps: what it consists of, where it stands and its record so far."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mtlbench.metrics.metric import Metric
from mtlbench.models import Model, shared_parameters
from mtlbench.plan.params import Protocol, Training
from mtlbench.tasks import Task
from mtlbench.training.data import Split
from mtlbench.training.domains import Step, batches_of, check_domains, domains_of, steps_of
from mtlbench.training.meter import Meter
from mtlbench.training.optimize import make_optimizer
from mtlbench.training.processes.ranks import ALONE, Ranks
from mtlbench.training.segments import segment
from mtlbench.weightings import Weighting


@dataclass(frozen=True)
class Identity:
    """Whose state it is: the cell's key, its path for people, {array: SHA-256} of the data that it reads, and
    {file: digest} of the code that computes it."""

    key: str
    cell: str
    data: Mapping[str, str]
    code: Mapping[str, str]


@dataclass(frozen=True)
class Data:
    """The images of a run: ``train`` and ``held_out`` are indices (CPU tensors) into ``train_split``."""

    train_split: Split
    test_split: Split
    train: Tensor
    held_out: Tensor

    @property
    def counts(self) -> dict[str, int]:
        """Images by what they are used for."""
        return {"train": len(self.train), "held_out": len(self.held_out), "test": self.test_split.count}


@dataclass
class Hooks:
    """What the loop tells the world: ``stop()`` gives a signal's name, ``advance`` the position, ``check`` raises."""

    stop: Callable[[], str | None] = lambda: None
    advance: Callable[[int, int, int], None] = lambda epoch, step, steps: None
    epoch_done: Callable[[Mapping[str, Any]], None] = lambda row: None
    check: Callable[[], None] = lambda: None


@dataclass
class Trainer:
    """One run between two steps: network, weighting, optimiser and the record so far; ``loop.run`` trains it.

    ``ranks`` are the processes of the run, all of which go through the same steps and hold the same state; the first
    one saves.
    """

    model: Model
    weighting: Weighting
    tasks: Mapping[str, Task]
    data: Data
    training: Training
    protocol: Protocol
    seed: int
    device: torch.device
    work: Path
    identity: Identity
    checkpoint_seconds: float = 0.0
    compile: bool = False
    hooks: Hooks = field(default_factory=Hooks)
    ranks: Ranks = ALONE
    #: The single-task networks' metrics on the held-out images; empty unless the weighting wants them.
    reference: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.weighting.to(self.device)
        self.shared = shared_parameters(self.model)
        self.optimizer = make_optimizer(self.training.optimizer, self.model, self.weighting, self.training.parts)
        self.domains = domains_of(self.tasks, self.data.train_split, self.data.train)
        check_domains(self.domains, "training")
        self._check_batches()
        self.network = self.ranks.spread(self.model, self.weighting)
        if self.compile:
            # Not dynamic: which kernels a smaller last batch got would depend on what the process had seen before it.
            self.network = torch.compile(self.network, dynamic=False)  # type: ignore[assignment]
        self.epoch = 0
        self.step = 0
        self.rows: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self.segments = [segment(self.device, self.compile, self.identity.code)]
        self.start_epoch()
        self.saved_at = self._started = time.monotonic()
        self.seconds_before = 0.0

    def _check_batches(self) -> None:
        batches = batches_of(self.domains, self.training.batch_size, self.training.drop_last)
        self.ranks.check_batches([len(batch) for batch in batches])
        if self.weighting.wants_held_out:
            self.ranks.check_batches([min(self.training.batch_size, len(self.data.held_out))])

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the run, those before an interruption included."""
        return self.seconds_before + time.monotonic() - self._started

    def steps_in(self, epoch: int) -> list[Step]:
        """The steps of an epoch: the images of each, by domain."""
        size, drop_last, phase = self.training.batch_size, self.training.drop_last, self.training.second_phase
        without = set(phase.without) if phase is not None and epoch >= self.training.first_epochs else set()
        trained = [domain for domain in self.domains if not without.issuperset(domain.tasks)]
        return steps_of(trained, self.training.domains, self.seed, epoch, size, drop_last)

    @property
    def recorded(self) -> list[str]:
        """The splits that are evaluated after every epoch."""
        test = self.protocol.name == "paper" or self.protocol.record_test
        return ["val"] * (self.protocol.name == "held_out") + ["test"] * test

    @property
    def metrics(self) -> dict[str, tuple[Metric, ...]]:
        """{task: its metrics}."""
        return {name: task.metrics for name, task in self.tasks.items()}

    @property
    def metric_names(self) -> dict[str, list[str]]:
        """{task: metric names}."""
        return {name: [metric.name for metric in task.metrics] for name, task in self.tasks.items()}

    def start_epoch(self) -> None:
        """Stand before the first step of the epoch."""
        self.step = 0
        self.meter = Meter()
        # The first step at which each task's loss was not finite, -1 for none.
        self.bad = torch.full((len(self.tasks),), -1, dtype=torch.int64, device=self.device)
