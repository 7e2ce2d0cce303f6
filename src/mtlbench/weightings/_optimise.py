"""Optimisation of a weighting's own few numbers, with all state in buffers so that it is saved with the weighting."""

import torch
from torch import Tensor, nn


class BufferedAdam(nn.Module):
    """Adam (Kingma and Ba, ICLR 2015) of one vector, with L2 weight decay as in ``torch.optim.Adam``."""

    mean: Tensor
    square: Tensor
    steps: Tensor

    def __init__(self, size: int, learning_rate: float, weight_decay: float = 0.0) -> None:
        super().__init__()
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("square", torch.zeros(size))
        self.register_buffer("steps", torch.zeros((), dtype=torch.float64))

    def step(self, value: Tensor, gradient: Tensor) -> None:
        """Change ``value`` (size,) in place, down the gradient."""
        gradient = gradient.to(value.dtype) + self.weight_decay * value
        self.steps += 1
        self.mean.lerp_(gradient, 1 - 0.9)
        self.square.mul_(0.999).addcmul_(gradient, gradient, value=1 - 0.999)
        first = (1 - 0.9**self.steps).to(value.dtype)
        second = (1 - 0.999**self.steps).to(value.dtype)
        value -= self.learning_rate * (self.mean / first) / ((self.square / second).sqrt() + 1e-8)


def softmax_gradient(logits: Tensor, gradient: Tensor) -> Tensor:
    """The gradient with respect to logits (T,) from the one with respect to their softmax (T,)."""
    shares = torch.softmax(logits, dim=0)
    return shares * (gradient - (shares * gradient).sum())


def onto_simplex(vector: Tensor) -> Tensor:
    """The nearest point (T,) with non-negative entries of sum 1 (Duchi et al., ICML 2008, figure 1)."""
    ordered = vector.sort(descending=True).values
    # A product with a triangle of ones instead of cumsum, which has no deterministic form on every device.
    excess = ordered @ torch.ones(len(vector), len(vector), dtype=vector.dtype, device=vector.device).triu() - 1.0
    ranks = torch.arange(1, len(vector) + 1, dtype=vector.dtype, device=vector.device)
    last = (ordered * ranks > excess).sum() - 1
    threshold = (excess / ranks).gather(0, last.clamp_min(0).reshape(1))
    return (vector - threshold).clamp_min(0.0)
