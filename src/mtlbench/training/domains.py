"""Which tasks look at which images, and the steps of an epoch: a batch of one domain each, or one of all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtlbench.system.errors import DataError
from mtlbench.tasks import Task
from mtlbench.training.data import Split, in_batches
from mtlbench.training.seeds import generator, order


@dataclass(frozen=True)
class Domain:
    """Tasks that look at the same images: ``indices`` into the split, at ``positions`` of the indices asked about."""

    tasks: tuple[str, ...]
    indices: Tensor
    positions: Tensor


#: The batches of one step: which domain, and which images of it.
Step = list[tuple[Domain, Tensor]]


def domains_of(tasks: Mapping[str, Task], split: Split, indices: Tensor) -> list[Domain]:
    """The images ``indices`` (CPU) by the tasks that have a target in them; one domain where all tasks share them.

    Images without any target are in none. Tasks with a value for every pixel look at all images.
    """
    everything = torch.ones(len(indices), dtype=torch.bool)
    groups: dict[bytes, tuple[Tensor, list[str]]] = {}
    for name, task in tasks.items():
        labelled = everything if task.maps.per_pixel else task.valid(_targets(split, name)[indices])
        groups.setdefault(labelled.numpy().tobytes(), (labelled, []))[1].append(name)
    places = [(tuple(names), labelled.nonzero()[:, 0]) for labelled, names in groups.values()]
    return [Domain(names, indices[positions], positions) for names, positions in places]


def _targets(split: Split, name: str) -> Tensor:
    return split.arrays[name].cpu()


def check_domains(domains: Sequence[Domain], what: str) -> None:
    """Raise DataError unless every domain has an image."""
    for domain in domains:
        if not len(domain.indices):
            raise DataError(f"expected a {what} image of {', '.join(domain.tasks)}, found none; prepare more of them")


def answers(network: nn.Module, image: Tensor, names: Sequence[str], tasks: Mapping[str, Task]) -> dict[str, Tensor]:
    """The network's raw outputs of the tasks ``names``, which are all of its tasks or those of one domain."""
    if len(names) == len(tasks):
        found: dict[str, Tensor] = network(image)
        return found
    found = network(image, only=tuple(names))
    return found


def batches_of(domains: Sequence[Domain], size: int, drop_last: bool) -> list[Tensor]:
    """All batches of an epoch, in no particular order: what must be large enough."""
    return [batch for domain in domains for batch in in_batches(domain.indices, size, drop_last)]


def steps_of(
    domains: Sequence[Domain], how: str | None, seed: int, epoch: int, size: int, drop_last: bool
) -> list[Step]:
    """The steps of an epoch, a pure function of its arguments.

    ``how``: "together" takes a batch of every domain in each step, as many steps as the largest domain has batches; one
    that is through begins again in a new order. "in_turn" goes through one domain after the other, "interleaved"
    through the same batches in random order: both have one domain in each step. With one domain all are the same.
    """
    if len(domains) == 1:
        images = domains[0].indices[order(len(domains[0].indices), seed, epoch)]
        return [[(domains[0], batch)] for batch in in_batches(images, size, drop_last)]

    def turn(domain: Domain, again: int) -> Step:
        """The batches of a domain's pass number ``again``, in an order that does not depend on the other domains."""
        mixed = torch.randperm(len(domain.indices), generator=generator(seed, "order", epoch, domain.tasks[0], again))
        return [(domain, batch) for batch in in_batches(domain.indices[mixed], size, drop_last)]

    turns = [turn(domain, 0) for domain in domains]
    if how == "together":
        return _side_by_side(domains, turns, turn)
    steps = [[part] for batches in turns for part in batches]
    if how == "in_turn":
        return steps
    mixed = torch.randperm(len(steps), generator=generator(seed, "interleaved", epoch)).tolist()
    return [steps[position] for position in mixed]


def _side_by_side(domains: Sequence[Domain], turns: list[Step], turn: Callable[[Domain, int], Step]) -> list[Step]:
    """The first batches of all domains, the second ones and so on; further passes of those that are through before."""
    count = max(map(len, turns))
    for domain, batches in zip(domains, turns, strict=True):
        again = 0
        while len(batches) < count:
            again += 1
            batches += turn(domain, again)
    return [[batches[position] for batches in turns] for position in range(count)]
