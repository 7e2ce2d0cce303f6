"""Branching: which node of the level before each node reads, drawn while it is learned.

Guo, Lee and Ulbricht, "Learning to Branch for Multi-Task Learning", ICML 2020 (arXiv 2006.01895).
"""

import math
from collections.abc import Iterable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from mtlbench.models.blocks.mixture import mixture


class Choice(nn.Module):
    """T feature maps (N, C, H, W), one for each task's node -> what each of T readers takes of them: one map.

    In training reader t takes one-hot(argmax s), s = softmax((l_t + Gumbel noise) / temperature), whose gradient is
    taken to be that of s (straight-through Gumbel-softmax). Otherwise nothing is drawn: it takes the map of its
    largest logit l_t, its own among equal ones. A reader's logits are one parameter (T, 1), sources in the order of
    ``tasks``.
    """

    diagram: ClassVar[str] = "mix"

    temperature: Tensor

    def __init__(self, tasks: Iterable[str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.by_source = nn.ParameterDict({task: torch.zeros(len(self.tasks), 1) for task in self.tasks})
        self.register_buffer("temperature", torch.ones(()), persistent=False)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [mixture(self._weights(reader), features) for reader in range(len(self.tasks))]

    def _weights(self, reader: int) -> Tensor:
        logits = self.by_source[self.tasks[reader]]
        if not self.training:
            return _one_hot(logits, reader)
        noise = -torch.empty_like(logits).exponential_().log()
        soft = ((logits + noise) / self.temperature).softmax(0)
        return _one_hot(soft, reader) - soft.detach() + soft

    def chosen(self) -> list[int]:
        """The node that each reader takes when nothing is drawn."""
        return [int(_one_hot(self.by_source[task], reader).argmax()) for reader, task in enumerate(self.tasks)]


def _one_hot(scores: Tensor, first: int) -> Tensor:
    """1 at the largest of scores (T, 1), of equal ones at the first from number ``first`` on; 0 elsewhere."""
    best = scores.roll(-first, 0).argmax(0)
    places = torch.arange(len(scores), device=scores.device)[:, None]
    return (places == best).to(scores.dtype).roll(first, 0)


def temperature(epoch: int, epochs: int) -> float:
    """Of the draws in an epoch (from 0) of ``epochs``: epochs / 20 / sqrt(epoch + 1), LibMTL's schedule."""
    return epochs / 20 / math.sqrt(epoch + 1)


def paths(choices: Sequence[Sequence[int]]) -> list[list[int]]:
    """The node of every level, the first level first, that each head reads; nodes are numbered as they appear.

    ``choices[i][r]``: the node of level i that reader r of level i + 1 takes; the last readers are the heads.
    """
    nodes = [list(choices[-1])]
    for level in reversed(choices[:-1]):
        nodes.insert(0, [level[node] for node in nodes[0]])
    return [list(path) for path in zip(*map(_renumbered, nodes), strict=True)]


def _renumbered(nodes: Sequence[int]) -> list[int]:
    order = list(dict.fromkeys(nodes))
    return [order.index(node) for node in nodes]
