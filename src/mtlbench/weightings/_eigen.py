"""Eigenvalues of a small symmetric matrix on the device, without the host check of the library routines."""

import functools

import torch
from torch import Tensor

# Cyclic Jacobi converges quadratically; 8 sweeps leave nothing above rounding up to a dozen rows.
_SWEEPS = 8


@functools.cache
def _rounds(size: int, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Pairs (p, q) of a round-robin tournament: every round has disjoint pairs, all rounds have every pair.

    Both members as rows of the identity (pairs, size).
    """
    players, identity = list(range(size)), torch.eye(size, dtype=torch.float64, device=device)
    rounds = []
    for _ in range(size - 1):
        pairs = [sorted((players[i], players[-1 - i])) for i in range(size // 2)]
        first, second = zip(*pairs, strict=True)
        rounds.append((identity[list(first)], identity[list(second)]))
        players = [players[0], players[-1], *players[1:-1]]
    return rounds


def symmetric_eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (T,), in no order, and eigenvectors (T, T) in columns, of a symmetric float64 matrix.

    Parallel Jacobi rotations with a fixed number of sweeps: ``torch.linalg.eigh`` looks at a status on the host.
    """
    count = len(matrix)
    size = count + count % 2
    work = torch.zeros(size, size, dtype=matrix.dtype, device=matrix.device)
    work[:count, :count] = matrix
    vectors = torch.eye(size, dtype=matrix.dtype, device=matrix.device)
    for _ in range(_SWEEPS):
        for first, second in _rounds(size, matrix.device):
            rotation = _rotation(work, first, second)
            work = rotation.mT @ work @ rotation
            vectors = vectors @ rotation
    # With an odd count the added row and column stay zero and their vector stays apart from the others.
    return work.diagonal()[:count], vectors[:count, :count]


def _rotation(work: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The rotation that zeroes the entries (p, q) of all disjoint pairs at once."""
    left, right = first @ work, second @ work
    p, q, off = (left * first).sum(1), (right * second).sum(1), (left * second).sum(1)
    angle = 0.5 * torch.atan2(2.0 * off, q - p)
    # The smaller of the two angles: otherwise rows are swapped and the sweeps need not converge.
    angle = torch.where(angle > torch.pi / 4, angle - torch.pi / 2, angle)
    angle = torch.where(angle < -torch.pi / 4, angle + torch.pi / 2, angle)
    cosine, sine = angle.cos()[:, None], angle.sin()[:, None]
    return first.mT @ (cosine * first + sine * second) + second.mT @ (cosine * second - sine * first)
