"""Cost of a training step with every weighting, relative to `equal`, on SegNet with three tasks.

    python benchmarks/weighting.py [--models segnet_split segnet_mtan] [--width 0.25] [--size 96 128] [--rounds 7]

A step is the forward pass, the losses, the gradients and the update, and for some weightings more forward and
backward passes. Beside the weightings stands `library way`: the usual code of multi-task libraries for a gradient
method (losses stacked into one tensor and differentiated entry by entry, gradients of all shared parameters
concatenated), with the plain sum of the gradients as the method, so without any solver.

Times are processor time on a CPU (other programs do not count) and wall time on a GPU. All weightings take turns
within a round, in a drawn order, so that a slow moment of the machine meets all of them; the table shows the median
over the rounds of the ratio to `equal` in the same round. The bound of a gradient method is counted in floating-point
operations of convolutions and matrix products: forward and one backward pass for each task, relative to forward and
one backward pass of the sum.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mtlbench.models import Model, shared_parameters
from mtlbench.plan import registry
from mtlbench.tasks import make_tasks
from mtlbench.training.device import frozen_batchnorm
from mtlbench.weightings import Weighting

CLASSES = 13
TASKS = {
    "segmentation": {"classes": CLASSES, "class_names": [str(i) for i in range(CLASSES)]},
    "depth": {},
    "normals": {},
}
LIBRARY = "library way"
#: Goals of the project: ratio to `equal` of a loss-based weighting, and to the bound of a gradient-based one.
LOSS_GOAL, GRADIENT_GOAL = 1.02, 1.1


@dataclass(frozen=True)
class Row:
    """One line of the table; ``ratio`` is the median of the ratios to `equal`, ``low`` and ``high`` the quartiles."""

    model: str
    weighting: str
    kind: str
    milliseconds: float
    ratio: float
    low: float
    high: float
    bound: float | None


class Step:
    """One network, one batch, one weighting: a whole training step at each call."""

    def __init__(self, model: Model, batch: dict[str, Tensor], name: str) -> None:
        self.model, self.batch = model, batch
        self.tasks = make_tasks(TASKS)
        self.shared = shared_parameters(model)
        device = batch["image"].device
        self.weighting: Weighting | None = None
        if name != LIBRARY:
            self.weighting = registry.entry("weightings", name).load()(list(self.tasks)).to(device)
            self.weighting.begin_epoch(5, [[1.0] * len(self.tasks)] * 5)
        learned = [] if self.weighting is None else list(self.weighting.parameters())
        self.optimizer = torch.optim.Adam([*model.parameters(), *learned], lr=1e-4, fused=True)

    def __call__(self) -> None:
        weighting = self.weighting
        if weighting is not None and (weighting.looks_ahead or weighting.wants_held_out):
            weighting.prepare_step(self.model, lambda which: self._losses_again(), 1e-4)
        losses = self.losses()
        self.optimizer.zero_grad(set_to_none=True)
        if weighting is None:
            stacked_backward(losses, self.shared)
        else:
            weighting.backward(losses, self.shared)
        self.optimizer.step()
        if weighting is not None and weighting.wants_losses_after_step:
            with torch.no_grad():
                weighting.after_step(torch.stack(self._losses_again()))

    def losses(self) -> list[Tensor]:
        """The T losses of a forward pass in training mode."""
        raw = self.model(self.batch["image"])
        return [task.loss(raw[name], self.batch[name]) for name, task in self.tasks.items()]

    def _losses_again(self) -> list[Tensor]:
        with frozen_batchnorm(self.model):
            return self.losses()


def stacked_backward(losses: Sequence[Tensor], shared: Sequence[nn.Parameter]) -> None:
    """Gradients the way of the libraries: stacked losses, so each pass walks the graphs of all tasks."""
    stacked = torch.stack(list(losses))
    rows = []
    for task in range(len(losses)):
        stacked[task].backward(retain_graph=task < len(losses) - 1)
        rows.append(torch.cat([parameter.grad.flatten() for parameter in shared]))
        for parameter in shared:
            parameter.grad = None
    combined = torch.stack(rows).sum(0)
    start = 0
    for parameter in shared:
        end = start + parameter.numel()
        parameter.grad = combined[start:end].view(parameter.shape).clone()
        start = end


def make_batch(size: tuple[int, int], count: int, device: torch.device) -> dict[str, Tensor]:
    """Random images and targets, all pixels valid."""
    generator = torch.Generator().manual_seed(0)
    height, width = size
    image = torch.rand(count, 3, height, width, generator=generator)
    batch = {
        "image": image.to(memory_format=torch.channels_last),
        "segmentation": torch.randint(0, CLASSES, (count, height, width), generator=generator).to(torch.int8),
        "depth": 0.5 + torch.rand(count, 1, height, width, generator=generator),
        "normals": nn.functional.normalize(torch.randn(count, 3, height, width, generator=generator), dim=1),
    }
    return {name: value.to(device) for name, value in batch.items()}


def flops(work: Callable[[], object]) -> int:
    """Floating-point operations of convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def gradient_bound(step: Step) -> float:
    """(forward + one backward pass for each task) / (forward + one backward pass of the sum), in operations."""
    forward = flops(step.losses)
    whole = flops(lambda: sum(step.losses()).backward())
    step.optimizer.zero_grad(set_to_none=True)
    each = sum(flops(lambda t=task: step.losses()[t].backward()) - forward for task in range(len(step.tasks)))
    step.optimizer.zero_grad(set_to_none=True)
    return (forward + each) / whole


def measure(
    name: str,
    weightings: Sequence[str],
    width: float,
    size: tuple[int, int],
    batch: int,
    rounds: int,
    device: torch.device,
) -> list[Row]:
    """The rows of one model, `equal` first and `library way` last."""
    entries = registry.entries("weightings")
    channels = {task: made.channels for task, made in make_tasks(TASKS).items()}
    torch.manual_seed(0)
    model = registry.entry("models", name).load()(channels, width=width)
    model = model.to(device, memory_format=torch.channels_last).train()
    data = make_batch(size, batch, device)
    names = ["equal", *[other for other in weightings if other != "equal"], LIBRARY]
    times: dict[str, list[float]] = {other: [] for other in names}
    bound = gradient_bound(Step(model, data, "equal"))
    chance = random.Random(0)
    for _ in range(rounds):
        for other in chance.sample(names, len(names)):
            times[other].append(_seconds(Step(model, data, other), device))
    rows = []
    for other in names:
        ratios = sorted(mine / base for mine, base in zip(times[other], times["equal"], strict=True))
        gradient = other == LIBRARY or entries[other].constants.get("needs_gradients", False)
        low, ratio, high = statistics.quantiles(ratios, n=4, method="inclusive")
        milliseconds = 1000 * statistics.median(times[other])
        kind = "gradients" if gradient else "losses"
        rows.append(Row(name, other, kind, milliseconds, ratio, low, high, bound if gradient else None))
    return rows


def _seconds(step: Step, device: torch.device) -> float:
    """Time of one step after one that fills the caches and buffers; on a CPU processor time."""
    step()
    if device.type != "cuda":
        begin = time.process_time()
        step()
        return time.process_time() - begin
    torch.cuda.synchronize(device)
    begin = time.perf_counter()
    step()
    torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def table(rows: Sequence[Row]) -> str:
    """A Markdown table; the last column compares with the project's goal."""
    lines = [
        "| model | weighting | from | ms | x equal | quartiles | bound | x equal / goal |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        goal = LOSS_GOAL if row.bound is None else GRADIENT_GOAL * row.bound
        bound = "" if row.bound is None else f"{row.bound:.2f}"
        lines.append(
            f"| {row.model} | {row.weighting} | {row.kind} | {row.milliseconds:.0f} | {row.ratio:.3f} "
            f"| {row.low:.2f}-{row.high:.2f} | {bound} | {row.ratio / goal:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["segnet_split", "segnet_mtan"])
    parser.add_argument("--weightings", nargs="+", default=list(registry.entries("weightings")))
    parser.add_argument("--width", type=float, default=0.25, help="factor on the filters of the networks")
    parser.add_argument("--size", type=int, nargs=2, default=(96, 128), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for name in given.models:
        size, device = (given.size[0], given.size[1]), torch.device(given.device)
        print(table(measure(name, given.weightings, given.width, size, given.batch, given.rounds, device)), flush=True)


if __name__ == "__main__":
    main()
