"""The training loop: every step is a pure function of (state, seed, epoch, step).

The order of the images, the augmentation and dropout draw from generators that are seeded by (seed, epoch,
step), so a run that was stopped anywhere and continued gives the same bits as one that was not, and no random
state is saved. Nothing inside an epoch waits for the device.
"""

import contextlib
import logging
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
from mtlbench.system.errors import DivergedError, Interrupted
from mtlbench.tasks import Task
from mtlbench.training import checkpoint, history, state
from mtlbench.training.data import Split
from mtlbench.training.device import autocast, frozen_batchnorm
from mtlbench.training.domains import Step, answers, batches_of, check_domains, domains_of, steps_of
from mtlbench.training.evaluate import evaluate
from mtlbench.training.meter import Meter
from mtlbench.training.optimize import learning_rate, make_optimizer
from mtlbench.training.processes.ranks import ALONE, Ranks
from mtlbench.training.seeds import derive, generator
from mtlbench.training.segments import segment
from mtlbench.training.state import Identity
from mtlbench.training.usable import problem
from mtlbench.weightings import Weighting

logger = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class Part:
    """A batch and the tasks that look at it."""

    tasks: tuple[str, ...]
    batch: dict[str, Tensor]


@dataclass
class Hooks:
    """What the loop tells the world: ``stop()`` gives a signal's name, ``advance`` the position, ``check`` raises."""

    stop: Callable[[], str | None] = lambda: None
    advance: Callable[[int, int, int], None] = lambda epoch, step, steps: None
    epoch_done: Callable[[Mapping[str, Any]], None] = lambda row: None
    check: Callable[[], None] = lambda: None


@dataclass
class Trainer:
    """One run: network, weighting, optimiser and the record so far.

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

    def __post_init__(self) -> None:
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.weighting.to(self.device)
        self.shared = shared_parameters(self.model)
        self.optimizer = make_optimizer(self.training.optimizer, self.model, self.weighting)
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
        self._start_epoch()
        self._saved_at = self._started = time.monotonic()
        self._seconds_before = 0.0

    def _check_batches(self) -> None:
        batches = batches_of(self.domains, self.training.batch_size, self.training.drop_last)
        self.ranks.check_batches([len(batch) for batch in batches])
        if self.weighting.wants_held_out:
            self.ranks.check_batches([min(self.training.batch_size, len(self.data.held_out))])

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the run, those before an interruption included."""
        return self._seconds_before + time.monotonic() - self._started

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return len(self._steps(0))

    def _steps(self, epoch: int) -> list[Step]:
        size, drop_last = self.training.batch_size, self.training.drop_last
        return steps_of(self.domains, self.training.domains, self.seed, epoch, size, drop_last)

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

    def resume(self) -> bool:
        """Continue from the newest checkpoint in ``work`` that is whole, of this run and fits; False without one."""
        with self.ranks.first_ahead():  # it sets aside what cannot be used
            found = checkpoint.load(self.work, self.device, lambda content: problem(self, content))
        if found is None:
            return False
        self._seconds_before = found["seconds"]
        changed = state.put(self, found)
        if changed and self.ranks.first:
            logger.warning("continued with another %s than before: the manifest will tell both", ", ".join(changed))
        return True

    def run(self) -> None:
        """Train to the last epoch; raises DivergedError, or Interrupted after saving."""
        while self.epoch < self.training.epochs:
            self._train_epoch()
            self._end_epoch()
            due = time.monotonic() - self._saved_at >= self.checkpoint_seconds
            if due or self.epoch == self.training.epochs:
                self.save()

    def save(self) -> None:
        """Write a checkpoint of the next position."""
        if not self.ranks.first:
            return
        self.hooks.check()
        checkpoint.save(self.work, self.epoch, self.step, state.take(self))
        self._saved_at = time.monotonic()

    def _start_epoch(self) -> None:
        self.step = 0
        self.meter = Meter()
        # The first step at which each task's loss was not finite, -1 for none.
        self.bad = torch.full((len(self.tasks),), -1, dtype=torch.int64, device=self.device)

    def _train_epoch(self) -> None:
        self.model.train()
        rate = learning_rate(
            self.training.schedule, self.training.optimizer.learning_rate, self.epoch, self.training.epochs
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.step == 0:
            losses = [[row[f"train_loss_{task}"] for task in self.tasks] for row in self.rows]
            self.weighting.begin_epoch(self.epoch, losses)
        steps = self._steps(self.epoch)
        coming = steps[self.step :]
        with contextlib.closing(self.data.train_split.batches([b for step in coming for _, b in step])) as batches:
            for step in coming:
                self._train_step([Part(domain.tasks, next(batches)) for domain, _ in step], rate)
                self.step += 1
                self.hooks.advance(self.epoch, self.step, len(steps))
                self._stop_if_asked()

    def _augmented(self, parts: list[Part]) -> list[Part]:
        settings = self.training.augmentation
        if settings is None:
            return parts
        from mtlbench.training.augmentation import augment

        chance = generator(self.seed, "augment", self.epoch, self.step)
        maps = {name: task.maps for name, task in self.tasks.items()}
        return [
            Part(
                part.tasks,
                augment(
                    part.batch, chance, maps=maps, scales=settings.scales, flip=settings.flip, compat=settings.compat
                ),
            )
            if all(self.tasks[name].augmented for name in part.tasks)
            else part
            for part in parts
        ]

    def _train_step(self, parts: list[Part], rate: float) -> None:
        parts = self._augmented(parts)
        if self.weighting.wants_held_out:
            self._look_ahead(parts, rate)
        self._seed_step()
        raw, losses = self._losses(parts)
        self.optimizer.zero_grad(set_to_none=True)
        weights = self.weighting.backward(losses, self.shared)
        self.ranks.all_reduce(self._own_gradients())
        self.optimizer.step()
        with torch.no_grad():
            self._record(losses, weights, raw, parts)
            if self.weighting.wants_losses_after_step:
                self.weighting.after_step(torch.stack(self._losses_again(parts)))

    def _own_gradients(self) -> list[Tensor]:
        """The gradients that are of this process's images only: gradient methods have added up the shared ones."""
        added = set(self.shared) if self.weighting.needs_gradients else set()
        return [p.grad for p in self.model.parameters() if p.grad is not None and p not in added]

    def _record(self, losses: list[Tensor], weights: Tensor, raw: Mapping[str, Tensor], parts: list[Part]) -> None:
        values = torch.stack([loss.detach() for loss in losses])
        self.bad = torch.where((self.bad < 0) & ~torch.isfinite(values), self.step, self.bad)
        images = self._images(parts)
        self.meter.add("images", images)
        self.meter.add("steps", torch.ones((), device=self.device))
        self.meter.add("losses", values.double() * images)
        self.meter.add("weights", weights)
        for name, value in self.weighting.logs().items():
            self.meter.add(f"log/{name}", value)
        for part in parts:
            for name in part.tasks:
                prediction = self.tasks[name].activate(raw[name].detach())
                for statistic, counts in self.tasks[name].statistics(prediction, part.batch[name]).items():
                    self.meter.add(f"{name}/{statistic}", counts.sum(0))

    def _images(self, parts: list[Part]) -> Tensor:
        """How many images the losses are means over: one number, or with several domains one for each task (T,)."""
        if len(self.domains) == 1:
            return torch.full((), float(len(parts[0].batch["image"])), device=self.device)
        count = {name: len(part.batch["image"]) for part in parts for name in part.tasks}
        return torch.tensor([float(count.get(name, 0)) for name in self.tasks], device=self.device)

    def _losses(self, parts: list[Part]) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Raw outputs of the tasks of these parts, and the T losses: 0 without a gradient for the other tasks."""
        raw: dict[str, Tensor] = {}
        losses = {name: torch.zeros((), device=self.device, requires_grad=True) for name in self.tasks}
        for part in parts:
            with autocast(self.device, self.training.precision):
                raw |= answers(self.network, part.batch["image"], part.tasks, self.tasks)
            losses |= {name: self.tasks[name].loss(raw[name], part.batch[name]) for name in part.tasks}
        return raw, list(losses.values())

    def _losses_again(self, parts: list[Part]) -> list[Tensor]:
        """The T losses of the current parameters on these parts, BatchNorm statistics untouched, the same dropout."""
        self._seed_step()
        with frozen_batchnorm(self.model):
            return self._losses(parts)[1]

    def _look_ahead(self, parts: list[Part], rate: float) -> None:
        def losses_on(which: str) -> list[Tensor]:
            if which == "train":
                return self._losses_again(parts)
            chance = generator(self.seed, "held_out", self.epoch, self.step)
            drawn = torch.randperm(len(self.data.held_out), generator=chance)[: self.training.batch_size]
            held_out = self.data.train_split.batch(self.data.held_out[drawn])
            return self._losses_again([Part(tuple(self.tasks), held_out)])

        self.weighting.prepare_step(self.model, losses_on, rate)

    def _seed_step(self) -> None:
        torch.manual_seed(derive(self.seed, "step", self.epoch, self.step))

    def _stop_if_asked(self) -> None:
        signal = self.ranks.agree(self.hooks.stop())
        if signal is None:
            return
        self._raise_if_diverged()
        self.save()
        raise Interrupted(
            f"stopped by {signal} in epoch {self.epoch + 1} after step {self.step}; "
            "the progress is saved, the same command continues"
        )

    def _raise_if_diverged(self) -> None:
        """Name the first step without a finite loss and its task: the others follow from it."""
        found = [(step, name) for name, step in zip(self.tasks, self.bad.tolist(), strict=True) if step >= 0]
        if found:
            first = min(step for step, _ in found)
            names = " and ".join(f"'{name}'" for step, name in found if step == first)
            raise DivergedError(
                f"the training loss of {names} is NaN or infinite at epoch {self.epoch + 1}, step {first + 1} "
                "(both counted from 1). Lower training.optimizer.learning_rate or change the weighting's options."
            )

    def _end_epoch(self) -> None:
        self._raise_if_diverged()
        self.ranks.check_equal(list(self.model.parameters()))
        sums = self.meter.fetch()
        row: dict[str, Any] = {"epoch": self.epoch, "learning_rate": self.optimizer.param_groups[0]["lr"]}
        mean = sums["losses"] / sums["images"]
        row |= {f"train_loss_{name}": float(value) for name, value in zip(self.tasks, mean, strict=True)}
        for name, task in self.tasks.items():
            found = {key.split("/", 1)[1]: value for key, value in sums.items() if key.startswith(f"{name}/")}
            row |= {f"train_{name}_{metric}": value for metric, value in task.reduce(found).items()}
        if "val" in self.recorded:
            row |= self._evaluated("val", self.data.train_split, self.data.held_out)
        if "test" in self.recorded:
            row |= self._evaluated("test", self.data.test_split, torch.arange(self.data.test_split.count))
        weights = sums["weights"] / sums["steps"]
        row |= {f"weight_{name}": float(value) for name, value in zip(self.tasks, weights, strict=True)}
        row |= {key[4:]: float(value / sums["steps"]) for key, value in sums.items() if key.startswith("log/")}
        self.rows.append(row)
        self._remember_best()
        self.epoch += 1
        self._start_epoch()
        self.hooks.epoch_done(row)

    def _evaluated(self, split: str, images: Split, indices: Tensor) -> dict[str, float]:
        found = evaluate(self.network, self.tasks, images, indices, self.training.precision)
        for name, value in found.losses.items():
            if not torch.isfinite(torch.tensor(value)):
                raise DivergedError(
                    f"the {split} loss of '{name}' is NaN or infinite after epoch {self.epoch + 1}: its last steps "
                    "diverged. Lower training.optimizer.learning_rate or change the weighting's options."
                )
        row = {f"{split}_loss_{name}": value for name, value in found.losses.items()}
        for name, values in found.metrics.items():
            row |= {f"{split}_{name}_{metric}": value for metric, value in values.items()}
        return row

    def _remember_best(self) -> None:
        """Under ``held_out`` keep the weights of the epoch whose metrics on the held-out images are best so far."""
        if self.protocol.name != "held_out":
            return
        if history.best_epoch(self.rows, "val", self.metrics) == self.epoch:
            state = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.best = {"epoch": self.epoch, "model": state}
