"""The decoder of InvPT: attention of all tasks' pixels on each other, at growing resolution.

Ye and Xu, "Inverted Pyramid Multi-task Transformer for Dense Scene Understanding", ECCV 2022 (arXiv 2203.07997),
section 3.3. Features are {task: (N, C, h, w)}; the tokens of attention are the pixels of all tasks, one task after the
other.
"""

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn

from mtlbench.models.blocks.resize import BilinearTwice

#: Heads of every attention, and how much wider the MLP is inside.
HEADS, RATIO = 2, 4

Features = dict[str, Tensor]


class ConvUnit(nn.Sequential):
    """conv3x3, BatchNorm, ReLU."""

    diagram: ClassVar[str] = "conv"

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )


class CrossTaskAttention(nn.Module):
    """Features of all tasks and the scores of the stage before -> what attention adds to the features, and its scores.

    Queries are the features behind a depthwise conv3x3 of stride 2, keys and values their means over squares of
    ``pool`` pixels. Scores (N, heads, T, h/2, w/2, keys) are q . k / sqrt(channels of a head), times a learned number,
    plus the enlarged scores of the stage before times another one.
    """

    def __init__(self, channels: int, pool: int, messages: bool) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels, 3, stride=2, padding=1, groups=channels, bias=False)
        self.pool = nn.AvgPool2d(pool)
        self.q, self.k, self.v = (nn.Linear(channels, channels) for _ in range(3))
        self.project = nn.Linear(channels, channels)
        self.own = nn.Parameter(torch.ones(1)) if messages else None
        self.before = nn.Parameter(torch.ones(1)) if messages else None
        self.enlarge = BilinearTwice()

    def forward(self, features: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        """``features`` (N, T, C, h, w); ``before`` (N, heads, T, h/4, w/4, keys) or None in the first stage."""
        count, tasks, channels, height, width = features.shape
        maps = features.flatten(0, 1)
        keys = self.pool(maps).flatten(2).mT.reshape(count, -1, channels)
        queries = self.query(maps).flatten(2).mT.reshape(count, -1, channels)
        q, k, v = (_heads(part) for part in (self.q(queries), self.k(keys), self.v(keys)))
        scores = (q * q.shape[-1] ** -0.5) @ k.mT
        if self.own is not None and before is not None:
            scores = self.own * scores + self.before * self._enlarged(before)
        found = self.project((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        half = (height // 2, width // 2)
        found = self.enlarge(found.reshape(count * tasks, -1, channels).mT.unflatten(2, half).contiguous())
        return found.unflatten(0, (count, tasks)), scores.unflatten(2, (tasks, *half))

    def _enlarged(self, before: Tensor) -> Tensor:
        """Scores twice as large in both directions of the queries: (N, heads, queries, keys)."""
        maps = before.movedim(-1, 3).flatten(0, 2)
        twice = self.enlarge(maps.contiguous()).unflatten(0, before.shape[:3])
        return twice.movedim(3, -1).flatten(2, 4)


class Stage(nn.Module):
    """Features {task: (N, inputs, h, w)} -> {task: (N, channels, 2h, 2w)}, with the scores of attention passed on.

    Each task's features are enlarged (bilinear, conv3x3, BatchNorm, ReLU); the encoder's features of the new size are
    added to all; then attention between all tasks and an MLP, each on normalised features and added to them.
    """

    diagram: ClassVar[str] = "mix"

    def __init__(
        self, tasks: Iterable[str], inputs: int, channels: int, encoder: int, pool: int, messages: bool
    ) -> None:
        super().__init__()
        self.enlarge = BilinearTwice()
        self.up = nn.ModuleDict({task: ConvUnit(inputs, channels) for task in tasks})
        self.skip = nn.Conv2d(encoder, channels, 1)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.attention = CrossTaskAttention(channels, pool, messages)
        self.mlp = nn.Sequential(
            nn.Linear(channels, RATIO * channels), nn.GELU(), nn.Linear(RATIO * channels, channels)
        )

    def forward(self, features: Features, encoder: Tensor, before: Tensor | None) -> tuple[Features, Tensor]:
        skip = self.skip(encoder)
        x = torch.stack([up(self.enlarge(features[task])) + skip for task, up in self.up.items()], 1)
        added, scores = self.attention(_last(self.norms[0], x), before)
        x = x + added
        x = x + self.mlp(self.norms[1](x.movedim(2, -1))).movedim(-1, 2)
        return dict(zip(self.up, x.unbind(1), strict=True)), scores


def _last(norm: nn.Module, x: Tensor) -> Tensor:
    return norm(x.movedim(2, -1)).movedim(-1, 2)


def _heads(tokens: Tensor) -> Tensor:
    """(N, tokens, C) -> (N, heads, tokens, C / heads)."""
    return tokens.unflatten(2, (HEADS, -1)).transpose(1, 2)
