"""Seeds: every random choice of a run is a pure function of (seed, purpose, epoch, step)."""

import hashlib

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, independent of all others (SHA-256 of the words)."""
    words = ":".join(str(word) for word in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator for one purpose."""
    return torch.Generator().manual_seed(derive(seed, *purpose))


def order(count: int, seed: int, epoch: int) -> torch.Tensor:
    """The order (count,) in which epoch ``epoch`` visits the images."""
    return torch.randperm(count, generator=generator(seed, "order", epoch))
