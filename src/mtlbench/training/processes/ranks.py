"""The processes of one training run, as each of them sees them: alone, or one of several."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor, nn

from mtlbench.models import Model
from mtlbench.weightings import Weighting


class Ranks:
    """The only process of a run: it has nobody to exchange anything with, so every exchange leaves all as it is.

    :class:`~mtlbench.training.processes.connected.Connected` is one of several processes.
    """

    #: This process's number, and how many there are.
    rank: int = 0
    count: int = 1

    def __deepcopy__(self, _: dict[int, object]) -> "Ranks":
        """Itself: a copied network is in the same process."""
        return self

    @property
    def first(self) -> bool:
        """Whether this is the process that saves, tells and publishes."""
        return self.rank == 0

    @property
    def starter(self) -> int:
        """The number of the system's process that started the run and holds its lease."""
        return os.getpid()

    def spread(self, model: Model, weighting: Weighting) -> nn.Module:
        """The network that takes whole batches; from here on it and the weighting compute with the other processes."""
        return model

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Replace the tensors by their sums over the processes, in place."""

    @contextmanager
    def first_ahead(self) -> Iterator[None]:
        """The first process does what is in the block before the others do."""
        yield

    def agree(self, name: str | None) -> str | None:
        """The signal that the first process heard of, on all of them, so that all stop after the same step."""
        return name

    def check_equal(self, parameters: Sequence[Tensor]) -> None:
        """Raise MtlbenchError unless the parameters are the same on all processes (compared by their norms)."""

    def check_batches(self, sizes: Sequence[int]) -> None:
        """Raise ParamsError unless each of the batches has an image for every process."""

    def close(self) -> None:
        """Leave the others; no exchange may follow."""


@dataclass
class Part(Ranks):
    """Process number ``rank`` of ``count``, and which images of a batch are its own."""

    rank: int
    count: int
    #: Images in the whole batch that the network looks at.
    images: int = field(default=0, kw_only=True)

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


#: The processes of an ordinary run.
ALONE = Ranks()
